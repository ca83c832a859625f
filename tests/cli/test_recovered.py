"""`warren recovered` against fake nodes: what is asked, what is printed, how it ends."""

import json

FILE = "orders-n2-1.jsonl"


def test_list(warren):
    done = warren("recovered", "list")
    head, row, silent = done.out.splitlines()
    assert head.split() == ["QUEUE", "VHOST", "MESSAGES", "WHY", "WHEN", "NODE", "FILE"]
    assert row.startswith("orders  /      3         in a partition  2023-11-1")
    assert row.endswith(f"  n2    {FILE}")
    assert silent == "not asked, because they do not run: n3"
    assert json.loads(warren("recovered", "list", "--json").out)["files"][0]["file"] == FILE


def test_show(warren):
    done = warren("recovered", "show", FILE, "-n", "2")
    assert done.out.splitlines() == [
        "(default) orders",
        "  first",
        "logs a.b priority=1",
        "  base64: /wA=",
        "and 1 more",
    ]
    found = json.loads(warren("recovered", "show", FILE, "--json").out)
    assert [message["key"] for message in found["messages"]] == ["orders", "a.b", "a.c"]
    assert found["remaining"] == 0


def test_replay_says_what_was_confirmed_and_keeps_what_was_not(warren):
    done = warren("recovered", "replay", FILE)
    assert (done.code, done.out) == (1, "2 confirmed\n")
    assert done.err == f"warren: 1 messages stay in {FILE} (no queue takes them: 1)\n"
    untold = "not told, and may have kept the same messages: n3"
    assert warren("recovered", "replay", FILE, "--queue", "again") == (0, f"3 confirmed\n{untold}\n", "")


def test_a_file_that_nobody_has(warren):
    done = warren("recovered", "replay", "none.jsonl")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("no node has a recovery file none.jsonl (not asked: n3)\n")


def test_drop(warren):
    assert warren("recovered", "drop", FILE) == (0, "3 messages dropped\n", "")
