"""A preview of policies: where copies go, and what would be lost."""

from broker.cli.foresight import Nodes, Rules, foresee
from policies.models import OperatorPolicy, Policy

THREE = Nodes(["n1", "n2", "n3"])
NOTHING = Rules([])


def queue(mirrors=("n2", "n3"), **facts):
    mirrored = list(mirrors) if mirrors is not None else None
    return {
        "vhost": "/", "name": "q", "type": "classic", "master": "n1", "mirrors": mirrored, "in_sync": mirrored,
        "policy": None, "messages_ready": None, "message_bytes": None, **facts,
    }  # fmt: skip


def policy(name="p", **definition):
    return Policy("/", name, "", {key.replace("_", "-"): value for key, value in definition.items()})


def rules(**definition):
    return Rules([policy(**definition)])


def note(row, then, now=NOTHING):
    return foresee(row, now, then, THREE).note


def test_a_policy_that_mirrors():
    change = foresee(queue(mirrors=None), NOTHING, rules(ha_mode="all"), THREE)
    assert (change.policy_then, change.mirrors_now, change.mirrors_then) == ("p", None, ["n2", "n3"])
    assert note(queue(mirrors=None), rules(ha_mode="exactly", ha_params=2)) == "new mirrors are chosen by chance"


def test_copies_that_would_go():
    change = foresee(queue(policy="p"), NOTHING, rules(ha_mode="exactly", ha_params=2), THREE)
    assert (change.mirrors_then, change.note) == (["n2"], "copy on n3 dropped")
    moved = foresee(queue(policy="p"), NOTHING, rules(ha_mode="nodes", ha_params=["n3"]), THREE)
    assert (moved.master_then, moved.note) == ("n3", "the master moves, the copy on n1 is dropped; copy on n2 dropped")
    cleared = foresee(queue(policy="p"), rules(ha_mode="all"), NOTHING, THREE)
    assert (cleared.policy_then, cleared.note) == (None, "copies on n2, n3 dropped")


def test_a_master_on_a_node_in_maintenance():
    change = foresee(queue(), NOTHING, rules(ha_mode="all"), Nodes(["n1", "n2", "n3"], ["n1"]))
    assert (change.master_then, change.mirrors_then, change.note) == ("n2", ["n3", "n1"], "the master moves")


def test_messages_over_a_limit():
    row = queue(mirrors=None, messages_ready=9, message_bytes=900)
    assert note(row, rules(max_length=4)) == "5 messages are over max-length and are lost"
    dead = rules(max_length_bytes=400, dead_letter_exchange="x")
    assert note(row, dead) == "500 bytes are over max-length-bytes and go to the dead letters"
    refusing = rules(max_length=4, overflow="reject-publish")
    assert note(row, refusing) == "5 messages are over max-length: publishes are refused until they are gone"


def test_what_would_be_lost_later():
    assert note(queue(mirrors=None), rules(message_ttl=50)) == "messages older than 50 ms are lost"
    assert note(queue(mirrors=None), rules(expires=50)) == "the queue is deleted after 50 ms without use"


def test_an_operator_policy_merges():
    then = Rules([policy(message_ttl=5)], [OperatorPolicy("/", "o", "", {"message-ttl": 3})])
    row = queue(mirrors=None, policy="p")
    change = foresee(row, rules(message_ttl=5), then, THREE)
    assert (change.policy_then, change.note) == ("p", "messages older than 3 ms are lost")


def test_a_policy_with_a_foreign_key_does_not_count_and_preview_says_so():
    change = foresee(queue(type="quorum"), NOTHING, rules(ha_mode="all", max_length=5), THREE)
    assert (change.policy_then, change.mirrors_then) == (None, ["n2", "n3"])
    assert change.note == "policy p does not count for a quorum queue, because of ha-mode"


def test_nothing_would_change():
    same = rules(ha_mode="all")
    assert foresee(queue(policy="p"), same, same, THREE) is None
    foreign = rules(ha_mode="exactly", ha_params=1)
    assert foresee(queue(type="quorum"), foreign, foreign, THREE) is None
