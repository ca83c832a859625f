"""Commands against a running cluster of fake nodes: what they ask, what they print, how they end."""

import json

import pytest

from broker.cli import chaos
from broker.cli.failures import Failed
from broker.cli.run_file import RunFile


def status_of(warren):
    return json.loads(warren("status", "--json").out)


def test_status_as_json_has_the_fields_of_the_contract(warren):
    found = status_of(warren)
    assert {"cluster", "nodes", "queues", "partitions"} <= found.keys()
    node, queue = found["nodes"][0], found["queues"][0]
    for key in ("name", "state", "pid", "role", "epoch", "amqp", "http", "link", "uptime_s", "memory_bytes"):
        assert node[key] is not None
    assert {
        "vhost",
        "name",
        "master",
        "mirrors",
        "in_sync",
        "term",
        "state",
        "reason",
        "unsynchronised",
    } <= queue.keys()
    assert (queue["master"], queue["mirrors"], queue["messages"], queue["policy"]) == ("n1", ["n2", "n3"], 0, "ha-all")


def test_status_for_people(warren):
    done = warren("status")
    lines = done.out.splitlines()
    assert lines[0] == "cluster test: 3 of 3 nodes run, 2 are a majority"
    assert lines[1].split()[:4] == ["NODE", "STATE", "PID", "ROLE"]
    assert lines[2].split()[:2] == ["n1", "running"]
    assert "orders  /      running  n1      n2 n3    n2 n3" in done.out


def test_run_json_holds_what_commands_need(cluster_file):
    run = RunFile.read(cluster_file.parent / "data")
    assert set(run.nodes) == {"n1", "n2", "n3"}
    assert all(node.pid and node.link.port for node in run.nodes.values())
    assert (cluster_file.parent / "data" / "run.json").stat().st_mode & 0o777 == 0o600
    assert (cluster_file.parent / "data" / "cluster.json").stat().st_mode & 0o777 == 0o600


def test_wait_returns_at_once_when_it_is_so(warren):
    assert warren("wait").code == 0
    assert warren("wait", "ready", "synchronised", "orders").code == 0
    assert warren("wait", "synchronised").code == 0


def test_who_was_killed_is_told_though_nobody_takes_over(warren, monkeypatch):
    def in_vain(road, timeout_s):
        raise Failed("not every queue has a master")

    monkeypatch.setattr(chaos, "_wait_for_masters", in_vain)
    done = warren("kill", "n3", "--wait")
    assert (done.code, done.err) == (1, "warren: not every queue has a master\n")
    assert done.out.startswith("n3 was killed (pid ")
    assert warren("start", "n3").code == 0


def test_wait_says_what_is_lacking(warren):
    done = warren("wait", "synchronised", "payments", "--timeout", "0.01")
    assert (done.code, done.err) == (1, "warren: not within 0.01 s: there is no queue payments in vhost /\n")


def test_kill_the_master_and_see_a_promotion(warren):
    done = warren("kill", "--master-of", "orders", "--wait")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].startswith("n1 was killed (pid ")
    assert done.out.splitlines()[1:] == [
        "n2 and n3 have a majority",
        "queue orders: n2 promoted",
        "every queue has a master; 1 promoted",
    ]
    found = status_of(warren)
    assert (found["nodes"][0]["state"], found["nodes"][0]["reason"]) == ("killed", "killed (signal 9)")
    assert warren("wait").code == 0  # a node that was killed on purpose is not waited for
    again = warren("kill", "n1")
    assert (again.code, again.err) == (1, "warren: n1 does not run: killed (signal 9)\n")
    assert warren("start", "n1").out.startswith("n1 started (pid ")
    assert warren("start", "n1").code == 1


def test_two_deaths_leave_no_majority_and_kill_says_so(warren):
    done = warren("kill", "n2", "n3")
    assert done.out.splitlines()[-1] == (
        "no majority is left: 1 of 3 run, 1 more is needed before clients are served (partition_handling: "
        "pause_minority)"
    )
    started = json.loads(warren("start", "n2", "n3", "--json").out)["start"]
    assert [one["node"] for one in started] == ["n2", "n3"]


def test_freeze_and_thaw(warren):
    assert "n1 and n3 have a majority" in warren("freeze", "n2").out
    assert status_of(warren)["nodes"][1]["state"] == "frozen"
    assert warren("thaw", "n2").code == 0
    assert warren("thaw", "n2").err == "warren: n2 is not frozen, it is running\n"


def test_a_frozen_node_is_stopped_and_started_again(warren):
    before = status_of(warren)["nodes"][2]["pid"]
    assert warren("freeze", "n3").code == 0
    assert warren("restart", "n3").code == 0
    assert status_of(warren)["nodes"][2]["pid"] != before


def test_stop_and_start(warren):
    assert warren("stop", "n3").out.startswith("n3 stopped (pid ")
    assert status_of(warren)["nodes"][2]["state"] == "stopped"
    assert warren("start", "n3").code == 0


def test_a_partition_survives_a_restart_until_it_is_healed(warren):
    assert warren("partition", "n1", "/", "n2", "n3").out.startswith("cut: n1 / n2 n3")
    assert warren("restart", "n1").code == 0
    cuts = {cut["node"]: cut["cut_from"] for cut in status_of(warren)["partitions"]}
    assert cuts == {"n1": ["n2", "n3"], "n2": ["n1"], "n3": ["n1"]}
    assert warren("heal").code == 0
    assert status_of(warren)["partitions"] == []


def test_policies(warren):
    assert warren("policy", "set", "two", "^o", '{"ha-mode": "exactly", "ha-params": 2}', "--priority", "3").code == 0
    listed = json.loads(warren("policy", "list", "--json").out)["policies"]
    assert [one for one in listed if one["name"] == "two"] == [
        {
            "vhost": "/",
            "name": "two",
            "pattern": "^o",
            "apply-to": "all",
            "priority": 3,
            "definition": {"ha-mode": "exactly", "ha-params": 2},
        }
    ]
    assert "^o       all       3         {" in warren("policy", "list").out
    assert warren("policy", "clear", "two").out == "cleared policy two of vhost /\n"
    assert "two" not in warren("policy", "list").out


def test_a_policy_that_rabbitmq_would_refuse_is_refused_here_in_its_words(warren):
    done = warren("policy", "set", "p", "(", '{"ha-mod": "all"}', "--apply-to", "topics")
    assert done.code == 2
    assert done.err.splitlines()[1:] == [
        "warren: apply-to 'topics' unrecognised; should be 'queues', 'exchanges' or 'all'",
        'warren: [{<<"ha-mod">>,<<"all">>}] are not recognised policy settings',
    ]


def test_clearing_a_policy_that_is_not_there(warren):
    done = warren("policy", "clear", "nope")
    assert (done.code, done.err.endswith(": there is no policy nope in vhost /\n")) == (1, True)


def test_policies_of_a_file_or_a_ready_made_one_are_applied(warren, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("- {name: mine, pattern: x, definition: {expires: 5}}\n")
    assert warren("policy", "apply", str(path)).out == "set policy mine\n"
    assert warren("policy", "apply", str(path)).out == "nothing to set: the policies are in force already\n"
    assert warren("policy", "apply", "ttl-day").out == "set policy ttl-day\n"
    assert warren("policy", "clear", "ttl-day").code == 0
    assert warren("policy", "apply", "no-such").err == "warren: no-such: there is no such file\n"


def test_preview_shows_where_copies_would_go(warren):
    assert warren("policy", "preview", "ha-two").out == "no queue would change\n"  # ha-all sorts first
    (change,) = json.loads(warren("policy", "preview", "bounded", "--json").out)["changes"]
    assert (change["queue"], change["policy_then"], change["mirrors_then"]) == ("orders", "bounded", None)
    assert change["note"] == "copies on n2, n3 dropped"


def test_messages_by_hand(warren):
    lost = warren("publish", "nowhere", "x")
    assert (lost.code, lost.err) == (1, "warren: 1 of 1 messages reached no queue (queue nowhere of vhost /)\n")
    assert warren("get", "orders", "-n", "0").code == 2
    assert warren("publish", "orders", "first", "zwölf").out == "2 confirmed\n"
    assert warren("get", "orders", "-n", "5", "--keep").out == "first\nzwölf\n"
    assert json.loads(warren("get", "orders", "--json").out) == {
        "messages": [
            {
                "body": "first",
                "encoding": "utf8",
                "exchange": "",
                "key": "orders",
                "redelivered": False,
                "properties": {},
            }
        ],
        "remaining": 1,
    }
    assert warren("get", "orders").out == "zwölf\n"
    empty = warren("get", "orders")
    assert (empty.code, empty.err) == (1, "warren: queue orders of vhost / is empty\n")


def test_what_a_node_refuses_is_told_with_its_name(warren):
    done = warren("promote", "orders", "n2")
    assert done.code == 1
    assert done.err.split(": ", 2)[2] == "queue orders has a master\n"


def test_promote_does_not_say_that_nothing_is_missing_where_nobody_knows(warren):
    assert warren("promote", "orders", "n3") == (0, "orders: n1 -> n3, messages may be missing\n", "")


def test_sync_and_cancel(warren):
    assert warren("sync", "orders").out == "orders is synchronised already\n"
    assert warren("cancel-sync", "orders").out == "orders is not syncing\n"


def test_queues(warren):
    assert json.loads(warren("queues", "--json").out)["queues"][0]["name"] == "orders"


def test_logs_show_what_each_node_wrote(warren):
    assert "n2 | node n2 starts" in warren("logs").out
    assert warren("logs", "n2", "-n", "1").out.startswith("ready amqp=")
    assert warren("logs", "n9").code == 1


def test_events_are_told_as_they_come(warren):
    assert warren("events").code == 0


def test_a_second_up_sets_what_the_file_names_and_starts_nothing(warren, cluster_file):
    done = warren("up", str(cluster_file))
    assert (done.code, done.out.splitlines()[-1].startswith("cluster test runs already (supervisor pid ")) == (0, True)
    refused = warren("up", str(cluster_file), "--fresh")
    assert (refused.code, refused.err) == (1, "warren: --fresh: cluster test runs: `warren down` first\n")


@pytest.mark.parametrize("verb", ["kill", "stop", "start", "restart", "freeze", "thaw"])
def test_a_node_that_there_is_not(warren, verb):
    done = warren(verb, "n9")
    assert (done.code, done.err) == (1, "warren: there is no node n9 on this machine: n1, n2, n3\n")


def test_pause_and_resume(warren):
    assert warren("queue", "pause", "orders") == (0, "orders is paused\n", "")
    assert warren("queue", "resume", "orders") == (0, "orders was already running\n", "")
    done = warren("queue", "pause", "none")
    assert (done.code, done.out) == (1, "")
    assert "no queue 'none' in vhost '/'" in done.err


def test_browse_goes_on_until_it_has_shown_enough_and_disarms_what_a_terminal_would_obey(warren):
    done = warren("browse", "orders", "-n", "4", "--offset", "1")
    assert done.out.splitlines() == [
        "#2 ready - (default) orders, 4 bytes",
        "  \\x1b[2J two",
        "#3 ready - (default) orders, 4 bytes",
        "  base64: /wA=",
        "#4 unacked redelivered - (default) orders, 4 bytes",
        "  held by consumer c, channel here (1) of guest at n1",
        "  priority=3",
        "  four",
        "#5 ready - (default) orders, 4 bytes",
        "  five … (truncated)",
        "4 shown of 4 ready and 1 unacknowledged in orders",
    ]
    assert done.err == ""


def test_browse_says_how_far_a_search_went(warren):
    done = warren("browse", "orders", "--search", "five", "--scan", "3")
    assert done.out == "0 found among 4 of 4 ready and 1 unacknowledged in orders; there are more, --after 4\n"
    found = json.loads(warren("browse", "orders", "--search", "five", "--json").out)
    assert ([message["position"] for message in found["messages"]], found["scanned"], found["next"]) == ([5], 5, None)


def test_replay_goes_on_to_the_end_and_fails_for_what_stays(warren):
    done = warren("replay", "dead.orders")
    assert (done.code, done.out) == (1, "4 replayed\n")
    assert done.err == "warren: 1 messages stay in dead.orders (no queue takes them: 1)\n"
    assert warren("replay", "dead.orders", "--limit", "3") == (0, "3 replayed\n", "")


def test_a_dry_run_says_what_would_go_where(warren):
    done = warren("replay", "dead.orders", "--dry-run", "--reason", "rejected")
    assert done.out == "5 would go through orders with new c\\x1bc to work\n"  # a publisher may have written it
    assert done.err == "warren: 1 messages would stay in dead.orders (no queue takes them: 1)\n"
    assert warren("replay", "dead.orders", "--reason", "bored").code == 2


def test_top_without_a_terminal_is_one_plain_look_with_rates(warren, monkeypatch):
    monkeypatch.setattr("broker.cli.top.RATES_S", 0.0)
    lines = warren("top").out.splitlines()
    assert lines[0] == "test: 3 of 3 nodes run, 4 queues, 3,702 messages, in 12/s, out 2.5/s; by messages"
    assert lines[2].split() == ["NODE", "STATE", "ROLE", "MASTERS", "MESSAGES", "IN/S", "OUT/S", "MEMORY", "UPTIME"]
    assert lines[3].split()[:7] == ["n1", "running", "leader", "3", "3,702", "12", "2.5"]
    assert lines[4].split()[3:7] == ["-"] * 4
    at = lines.index("", 3) + 1
    assert lines[at].split()[0] == "QUEUE"
    assert [line.split()[0] for line in lines[at + 1 : at + 5]] == ["lost", "orders", "old.orders", "\\x1b[2Jbad"]
    assert lines[at + 2].endswith("n1      n2(-7) n3(?)")
    assert "queues without a master: 1" in lines
    assert "did not tell of their queues: n3" in lines


def test_top_for_programs(warren, monkeypatch):
    monkeypatch.setattr("broker.cli.top.RATES_S", 0.0)
    found = json.loads(warren("top", "--json", "--filter", "old", "--sort", "name").out)
    assert [row["name"] for row in found["top"]["rows"]] == ["old.orders"]
    assert [node["name"] for node in found["nodes"]] == ["n1", "n2", "n3"]
