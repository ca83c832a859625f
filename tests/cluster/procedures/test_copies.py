"""Who is in sync and who is master, asked for one queue: conditions of DESIGN S2 and S3."""

import pytest

from broker.cluster.records import Life
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, WHEN_SYNCED, Leader, exactly, nodes


@pytest.fixture
def three():
    leader = Leader("n1", "n2", "n3", policy=ALL)
    leader.declare()
    leader.leave("n2")
    return leader


def refusal(leader, verb, *arguments, **facts):
    with pytest.raises(Refused) as caught:
        getattr(leader, verb)(*arguments, **facts)
    return caught.value.code


def test_entering_and_leaving_keeps_the_order_of_age(three):
    assert three.shown() == "n1* n2 n3*"
    version = three.queue().version
    assert three.enter("n2") == {"version": version + 1}
    assert three.queue().in_sync == (Life("n1", 1), Life("n2", 1), Life("n3", 1))
    three.leave("n3", why="does not follow")
    assert three.shown() == "n1* n2* n3"
    assert [(event["node"], event["change"]) for event in three.told("sync")][-2:] == [
        ("n2", "entered"),
        ("n3", "left"),
    ]


def test_a_repeat_is_answered_whatever_the_version(three):
    three.enter("n2")
    assert three.enter("n2", version=0) == {"version": three.queue().version}
    three.leave("n2")
    assert three.leave("n2", version=0) == {"version": three.queue().version}


def test_every_change_is_conditional_on_the_version(three):
    """Safety schedule 3b: a thawed master's old proposal must not undo what was decided since."""
    version = three.queue().version
    three.policy({**ALL, "ha-sync-mode": "automatic"})
    assert refusal(three, "enter", "n2", version=version) == "stale"
    assert refusal(three, "leave", "n3", version=version) == "stale"
    three.kill("n1")
    assert refusal(three, "leave", "n3", version=version) == "invalid" or three.shown() == "n3* n2"


def test_entry_names_a_life_that_goes_on(three):
    """Safety schedule 1: the mirror restarts between proposal and commit."""
    version = three.queue().version
    three.start("n2")
    assert refusal(three, "enter", "n2", life=1, version=three.queue().version) == "stale"
    assert refusal(three, "enter", "n2", life=2, version=version) == "stale"
    three.enter("n2")
    three.kill("n2")
    assert refusal(three, "enter", "n2", version=three.queue().version) == "stale"


def test_only_an_acting_master_changes_the_set():
    leader = Leader("n1", "n2", policy=WHEN_SYNCED)
    leader.declare()
    leader.leave("n2")
    leader.kill("n1")
    assert leader.queue().state == "unavailable"
    assert refusal(leader, "enter", "n2") == "stale"


def test_the_master_cannot_leave_so_the_set_is_never_empty(three):
    assert refusal(three, "leave", "n1") == "invalid"
    three.leave("n3")
    assert three.shown() == "n1* n2 n3"


def test_who_is_no_mirror_cannot_enter(three):
    three.policy(nodes("n1", "n3"))
    assert refusal(three, "enter", "n2") == "stale"
    assert refusal(three, "ask", "enter_in_sync", id=1, node="n2", life=1, version=0) == "not_found"


def test_a_queue_declared_again_under_its_name_is_another(three):
    old = three.queue()
    three.ask("delete_queue", vhost="/", name="q")
    three.declare()
    assert three.queue().id != old.id
    assert refusal(three, "ask", "enter_in_sync", id=old.id, node="n2", life=1, version=old.version) == "not_found"


def test_transfer_moves_the_master_to_a_synchronised_mirror_and_keeps_the_copies(three):
    assert refusal(three, "ask", "transfer", vhost="/", name="q", node="n2") == "unsynchronised"
    assert refusal(three, "ask", "transfer", vhost="/", name="q", node="n9") == "not_found"
    three.ask("transfer", vhost="/", name="q", node="n3")
    assert three.shown() == "n3* n2 n1"
    (event,) = three.told("promotion")
    assert (event["from"], event["to"], event["cause"]) == ("n1", "n3", "transfer")
    before = three.tree.digest
    three.ask("transfer", id=three.queue().id, node="n3")
    assert three.tree.digest == before


def test_transfer_under_exactly_keeps_the_same_nodes():
    leader = Leader("n1", "n2", "n3", "n4", "n5", policy=exactly(2))
    leader.declare()
    mirror = leader.queue().mirrors[0].node
    leader.ask("transfer", vhost="/", name="q", node=mirror)
    assert leader.shown() == f"{mirror}* n1"


def test_promote_is_the_operators_way_out_of_waiting():
    leader = Leader("n1", "n2", "n3", policy=WHEN_SYNCED)
    leader.declare()
    leader.leave("n2")
    leader.leave("n3")
    assert refusal(leader, "ask", "promote", vhost="/", name="q", node="n2") == "running"
    leader.kill("n1")
    assert refusal(leader, "ask", "promote", vhost="/", name="q", node="n1") == "not_found"
    assert refusal(leader, "ask", "promote", vhost="/", name="nobody", node="n3") == "not_found"
    leader.ask("promote", vhost="/", name="q", node="n3")
    assert leader.shown() == "n3* n2"
    leader.start("n1")
    assert leader.shown() == "n3* n2 n1"
    (event,) = leader.told("promotion")
    assert (event["cause"], event["lossy"]) == ("operator", True)


def test_who_was_away_does_not_know_what_it_lacks():
    leader = Leader("n1", "n2", "n3", policy=WHEN_SYNCED)
    leader.declare()
    leader.kill("n2")
    leader.leave("n3")
    leader.kill("n1")
    leader.start("n2")
    counted = {"vhost": "/", "name": "q", "held": 5, "missing": 0}
    assert leader.ask("promote", **counted, node="n2")["missing"] is None
    event = leader.told("promotion")[-1]
    assert (event["held"], event["missing"]) == (5, None)
    leader.kill("n2")
    assert leader.ask("promote", **counted, node="n3")["missing"] == 0


def test_an_exclusive_queue_stays_with_its_connection():
    leader = Leader("n1", "n2")
    leader.declare("e", exclusive=True, connection="c")
    assert refusal(leader, "ask", "transfer", vhost="/", name="e", node="n2") == "invalid"


def test_a_malformed_request_is_refused_and_never_a_fault_of_the_leader(three):
    queue_id = three.queue().id
    for wrong in (
        {"do": "nonsense"},
        {"do": ["found"]},
        {"do": "enter_in_sync"},
        {"do": "enter_in_sync", "id": queue_id, "node": "n2", "life": "1", "version": 0},
        {"do": "enter_in_sync", "id": True, "node": "n2", "life": 1, "version": 0},
        {"do": "promote_most_complete", "id": queue_id, "version": 2, "counts": {"n2": "many"}},
    ):
        assert refusal(three, "ask", wrong.pop("do"), **wrong) in ("invalid", "stale")
