"""Whose word counts: pure tables of what nodes and supervisor say, and what is made of it."""

from broker.cli.events import event_line, merge_events
from broker.cli.merging import lacking_masters, lacking_readiness, lacking_synchronisation, merge_status
from broker.cli.partition import blocks_between
from broker.cli.status import node_rows, reasons
from broker.cli.tables import megabytes, plain_table, seconds, shown
from broker.node.configuration import load

CLUSTER = load(None)
DOORS = {"amqp": "127.0.0.1:1", "http": "127.0.0.1:2", "link": "127.0.0.1:3"}


def queue(name="q", master="n1", mirrors=("n2", "n3"), **facts):
    mirrored = list(mirrors) if mirrors is not None else None
    return {
        "vhost": "/", "name": name, "type": "classic", "master": master, "mirrors": mirrored, "in_sync": mirrored,
        "term": 1, "state": "running", "reason": None, "policy": None, "unsynchronised": {},
        "sync_percent": None, "messages": None, **facts,
    }  # fmt: skip


def answer(name, *queues, **facts):
    return {
        "state": "running",
        "reason": None,
        "alarms": [],
        "role": "follower",
        "epoch": 1,
        "pid": 7,
        "queues": queues,
        **facts,
    }


def merged(answers, processes=None):
    return merge_status(CLUSTER, {"n1": None, "n2": None, "n3": None} | answers, processes or {})


def test_a_silent_node_is_unreachable_unless_the_supervisor_knows_better():
    found = merged({}, {"n2": {"state": "frozen", "reason": "frozen", "pid": 5, **DOORS}})
    assert [(node["state"], node["pid"]) for node in found["nodes"]] == [
        ("unreachable", None), ("frozen", 5), ("unreachable", None),
    ]  # fmt: skip
    assert found["nodes"][1]["link"] == "127.0.0.1:3"


def test_a_running_process_that_does_not_answer_is_not_called_running():
    found = merged({}, {"n1": {"state": "running", "reason": None, "pid": 5, **DOORS}})
    assert (found["nodes"][0]["state"], found["nodes"][0]["pid"]) == ("unreachable", 5)


def test_the_masters_word_about_a_queue_counts():
    found = merged({"n1": answer("n1", queue(messages=3)), "n2": answer("n2", queue(), epoch=9)})
    assert found["queues"][0]["messages"] == 3


def test_without_the_master_the_newest_epoch_counts():
    old, new = queue(master="n3"), queue(master="n2", state="waiting")
    found = merged({"n1": answer("n1", old, epoch=2), "n2": answer("n2", new, epoch=3, role="leader")})
    assert found["queues"][0]["state"] == "waiting"


def test_an_old_master_that_was_cut_off_does_not_overrule_the_new_epoch():
    found = merged({"n1": answer("n1", queue(master="n1"), epoch=1), "n2": answer("n2", queue(master="n2"), epoch=2)})
    assert found["queues"][0]["master"] == "n2"


def test_a_node_that_may_lose_what_it_confirmed_says_so():
    answers = {
        "n1": answer("n1", fsync="always"),
        "n2": answer("n2", fsync="never"),
        "n3": answer("n3", fsync="interval"),
    }
    found = merged(answers)
    assert [row[-1] for row in node_rows(found)] == ["always", "never", "interval"]
    assert reasons(found) == ["n2, n3: confirmed messages may be lost if the machine fails: fsync is not always"]


def test_a_failed_node_says_why_and_is_waited_for():
    found = merged({"n1": answer("n1", state="failed", reason="n1/journal: Input/output error"), "n2": answer("n2")})
    assert reasons(found) == ["n1: n1/journal: Input/output error"]
    assert lacking_readiness(found)[0] == "n1 is failed: n1/journal: Input/output error"


def test_cuts_are_listed_by_node():
    found = merged({"n1": answer("n1", cut_from=["n3", "n2"]), "n2": answer("n2", cut_from=[])})
    assert found["partitions"] == [{"node": "n1", "cut_from": ["n2", "n3"], "parted_from": []}]


def test_two_that_serve_without_each_other_have_parted_though_neither_hears_of_it():
    answers = {
        "n1": answer("n1", view=["n1"], cut_from=[]),
        "n2": answer("n2", view=["n2", "n3"], cut_from=[], parted_from=["n1"]),
        "n3": answer("n3", view=["n2", "n3"], cut_from=[]),
    }
    found = merged(answers)
    assert {cut["node"]: cut["parted_from"] for cut in found["partitions"]} == {
        "n1": ["n2", "n3"],
        "n2": ["n1"],
        "n3": ["n1"],
    }
    assert reasons({**found, "partition_handling": "ignore"}) == [
        "n1 and n2 n3 went on without each other: queues have two masters (partition_handling: ignore)",
        "`warren stop` all nodes of one side, then start them: what the others do not have is set aside",
    ]
    assert len(reasons({**found, "partition_handling": "autoheal"})) == 1
    assert merged({"n1": answer("n1", view=["n1", "n2"], cut_from=[])})["partitions"] == []


def test_what_lacks_synchronisation():
    lagging = queue("a", in_sync=["n2"], unsynchronised={"n3": 12})
    waiting = queue("b", state="waiting", reason="waits for n1")
    alone = queue("c", mirrors=None)
    assert lacking_synchronisation([queue()], None, "/") == []
    assert lacking_synchronisation([lagging, waiting, alone], None, "/") == [
        "a is not synchronised on n3 (12 messages missing)",
        "b is waiting: waits for n1",
    ]
    assert lacking_synchronisation([alone], "c", "/") == ["c is not mirrored: no policy with ha-mode matches it"]
    assert lacking_synchronisation([alone], "c", "shop") == ["there is no queue c in vhost shop"]


def test_a_paused_queue_has_its_master_and_is_synchronised_like_any_other():
    found = merged({name: answer(name, queue(state="paused", reason="by hand")) for name in ("n1", "n2", "n3")})
    assert lacking_masters(found) == lacking_synchronisation(found["queues"], "q", "/") == []
    assert reasons(found)[-1] == "queue q: by hand"


def test_what_lacks_a_master():
    found = merged({"n2": answer("n2", queue("a"), queue("b", master="n2"))})
    assert lacking_masters(found) == ["a is running"]


def test_who_is_not_ready():
    processes = {"n1": {"state": "killed", "reason": "killed (signal 9)", "pid": None, **DOORS}}
    found = merged({"n2": answer("n2"), "n3": answer("n3", state="paused", reason="1 of 3")}, processes)
    assert lacking_readiness(found) == ["n3 is paused: 1 of 3"]
    assert lacking_readiness(merged({})) == [f"{name} is unreachable" for name in CLUSTER.names]


def test_cuts_are_made_at_both_ends():
    assert blocks_between([["a"], ["b", "c"]], one_way=False) == {
        "a": {"b": "both", "c": "both"}, "b": {"a": "both"}, "c": {"a": "both"},
    }  # fmt: skip
    assert blocks_between([["a"], ["b"]], one_way=True) == {"a": {"b": "out"}, "b": {"a": "in"}}


def test_events_of_several_nodes_become_one_time_line():
    first = {"id": "1", "stamp_ms": 5, "node": "n1", "kind": "life", "text": "n1 ended"}
    other = {"id": "2", "stamp_ms": 4, "node": "n2", "kind": "sync", "text": "q"}
    assert merge_events([first, {**first, "node": "n2"}, other], 0) == [other, first]
    assert merge_events([first, other], 5) == [first]
    assert event_line(first).endswith(".005 n1 life: n1 ended")


def test_tables():
    assert plain_table(("a", "long head"), [["x", None], [["n1", "n2"], True]]) == [
        "A      LONG HEAD",
        "x      -",
        "n1 n2  yes",
    ]
    assert (shown([]), shown({"n3": 4}), shown(0)) == ("none", "n3:4", "0")
    assert [seconds(value) for value in (None, 3.7, 61, 7260, 90061)] == ["-", "3s", "1m 1s", "2h 1m", "1d 1h"]
    assert megabytes(50 * 1048576) == "50 MiB"


def test_who_is_in_maintenance_is_told_by_the_newest_epoch_also_of_nodes_that_are_down():
    def members(*drained):
        return {name: {"drained": name in drained} for name in ("n1", "n2", "n3")}

    found = merged(
        {"n1": answer("n1", epoch=1, members=members("n2")), "n2": answer("n2", epoch=2, members=members("n3"))}
    )
    assert [node["maintenance"] for node in found["nodes"]] == [False, False, True]
    assert not any(node["maintenance"] for node in merged({})["nodes"])


def test_those_who_decide_now_say_by_which_mode_and_how_many():
    members = {name: {"drained": False} for name in ("n1", "n2", "n3")}
    said = answer("n1", members=members, partition_handling="autoheal", majority=3)
    other = answer("n2", members={"n2": {}}, partition_handling="pause_minority", majority=1)
    found = merged({"n1": said, "n2": other})
    assert (found["partition_handling"], found["majority"]) == ("autoheal", 3)
    assert (merged({})["partition_handling"], merged({})["majority"]) == ("pause_minority", 2)


def test_a_node_of_another_cluster_is_told_as_such():
    here = answer("n2", queue("q", "n2"), members={"n2": {}, "n3": {}})
    found = merged({"n1": answer("n1", queue("q"), queue("other"), members={"n1": {}}, epoch=9), "n2": here})
    assert reasons(found) == ["n1: of another cluster than n2 n3"]
    assert [(row["name"], row["master"]) for row in found["queues"]] == [("q", "n2")]
