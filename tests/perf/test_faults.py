"""The deck deals every fault and special, by seed, and hits the leader often enough."""

from random import Random

import pytest

from broker.perf.faults import SECOND, Deck, Fault, Scene

NODES = ("n1", "n2", "n3")


def scene(leader: str = "n1", **masters: str) -> Scene:
    return Scene(NODES, leader, masters or {"q1": "n1", "q2": "n2", "q3": "n3"})


def deal(deck: Deck, rounds: int, chance: Random) -> list[Fault]:
    """Rounds against a cluster whose leader and masters move about."""
    dealt = []
    for _ in range(rounds):
        stage = scene(chance.choice(NODES), **{f"q{i}": chance.choice(NODES) for i in range(3)})
        if (node := deck.wants_queue_on(stage)) is not None:
            stage = Scene(NODES, stage.leader, {**stage.masters, "q9": node})
        fault = deck.deal(stage)
        for step in fault.steps:
            if step.verb == "kill":
                deck.count_kill(leader=step.node == stage.leader)
        dealt.append(fault)
    return dealt


@pytest.mark.parametrize("seed", range(20))
def test_a_third_of_the_kills_hits_the_leader(seed: int) -> None:
    deck = Deck(["kill", "freeze"], Random(seed))
    deal(deck, 20, Random(seed + 1))
    assert deck.leader_kills * 3 >= deck.kills > 10


def test_each_special_comes_round() -> None:
    names = {fault.name for fault in deal(Deck(["kill", "freeze", "partition"], Random(1)), 24, Random(2))}
    specials = {"blink", "two_kills", "master_and_leader", "freeze_kill_thaw"}
    assert names == {"kill", "freeze", "partition", "partition_one_way", "partition_partial"} | specials


def test_the_first_round_is_a_plain_kill_of_the_leader_and_master() -> None:
    for seed in range(10):
        fault = Deck(["freeze", "kill"], Random(seed)).deal(scene("n2"))
        assert (fault.name, fault.queue) == ("kill", "q2")
        assert [step.verb for step in fault.steps] == ["kill", "promoted", "pause", "start"]


def test_the_seed_decides() -> None:
    one, same, other = (deal(Deck(["kill"], Random(seed)), 12, Random(0)) for seed in (5, 5, 6))
    assert one == same != other


def test_every_node_that_was_hurt_is_healed_in_the_same_round() -> None:
    for fault in deal(Deck(["kill", "freeze", "partition"], Random(3)), 60, Random(4)):
        verbs: dict[str, list[str]] = {}
        for step in fault.steps:
            verbs.setdefault(step.node, []).append(step.verb)
        for node, done in verbs.items():
            if node:
                assert done.count("kill") == done.count("start"), fault
                assert done.count("freeze") == done.count("thaw"), fault
        cuts = sum(step.verb == "cut" for step in fault.steps)
        assert cuts == sum(step.verb == "heal" for step in fault.steps)


def test_each_round_waits_for_a_promotion() -> None:
    assert all(
        any(step.verb == "promoted" for step in fault.steps)
        for fault in deal(Deck(["kill", "freeze", "partition"], Random(7)), 40, Random(8))
    )


def test_a_blink_is_shorter_than_a_tenth_of_a_second() -> None:
    blinks = [fault for fault in deal(Deck(["kill"], Random(9)), 60, Random(10)) if fault.name == "blink"]
    assert blinks
    assert all(step.seconds <= 0.1 for fault in blinks for step in fault.steps)


def test_master_and_leader_are_two_nodes() -> None:
    for fault in deal(Deck(["kill"], Random(11)), 80, Random(12)):
        if fault.name == "master_and_leader":
            assert len({step.node for step in fault.steps if step.verb == "kill"}) == 2


def test_the_second_of_two_kills_hits_whoever_took_over() -> None:
    (fault,) = [f for f in deal(Deck(["kill"], Random(13)), 8, Random(14)) if f.name == "two_kills"]
    assert [step.node for step in fault.steps if step.verb == "kill"][1] == SECOND


def test_links_are_cut_whole_in_either_direction_and_between_two_nodes_only() -> None:
    cuts = [fault.steps[0] for fault in deal(Deck(["partition"], Random(15)), 40, Random(16))]
    assert {(cut.way, bool(cut.other)) for cut in cuts} == {
        ("both", False),
        ("out", False),
        ("in", False),
        ("both", True),
    }
    assert all(cut.other != cut.node for cut in cuts)


def test_two_nodes_get_no_specials() -> None:
    deck = Deck(["kill", "freeze", "partition"], Random(1))
    stage = Scene(("n1", "n2"), "n1", {"q1": "n1"})
    plain = {"kill", "blink", "freeze", "partition", "partition_one_way"}
    assert {deck.deal(stage).name for _ in range(30)} == plain


def test_a_leader_without_queues_asks_for_one() -> None:
    deck = Deck(["kill"], Random(1))
    assert deck.wants_queue_on(scene("n3", q1="n1")) == "n3"
    assert deck.wants_queue_on(scene("n1", q1="n1")) is None
    deck.count_kill(leader=True)
    assert deck.wants_queue_on(scene("n3", q1="n1")) is None


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="flood"):
        Deck(["kill", "flood"], Random(1))
