"""How long a dialler rests."""

import logging
from random import Random

import trio

from broker.peers.dialling import PAUSE_MAX_S, PAUSE_MIN_S, Backoff
from tests.peers.nodes import cluster_of


def test_not_at_all_then_longer_and_longer_up_to_a_second():
    for seed in range(20):
        backoff = Backoff(Random(seed))
        pauses = [backoff.pause_s() for _ in range(100)]
        assert pauses[0] == 0
        assert all(PAUSE_MIN_S <= pause <= PAUSE_MAX_S for pause in pauses[1:])
        assert pauses[1] == PAUSE_MIN_S
        assert min(pauses[7:]) >= PAUSE_MAX_S / 2
        backoff.reset()
        assert backoff.pause_s() == 0


def test_two_diallers_fall_out_of_step():
    one, two = Backoff(Random(1)), Backoff(Random(2))
    assert [one.pause_s() for _ in range(10)][3:] != [two.pause_s() for _ in range(10)][3:]


async def test_a_node_that_is_not_there_is_dialled_once_a_second_and_named_once(autojump_clock, caplog):
    caplog.set_level(logging.INFO, "warren.peers")
    async with cluster_of() as cluster:
        dials = count_dials(await cluster.start("n1"))
        await trio.sleep(60)
        assert 2 * 60 <= len(dials) <= 2 * 130
        assert sorted(caplog.messages) == [
            f"no_link peer=n2 lane={lane} reason='n2:25672: connection refused'" for lane in ("control", "data")
        ]


async def test_a_connection_that_never_lasts_is_not_dialled_in_a_hot_loop(autojump_clock):
    async with cluster_of() as cluster:
        one, two = await cluster.start_all()
        two.links.on_incoming.append(lambda peer, life, lane: two.links.disconnect(peer, "a test"))
        one.links.disconnect("n2", "a test")
        await trio.sleep(2)
        assert len([line for line in one.heard if line.startswith("up")]) < 2 * 2 * 60


async def test_nobody_dials_through_a_pretended_cut(autojump_clock):
    async with cluster_of() as cluster:
        one = await cluster.start("n1")
        one.links.block("n2", "in")
        await trio.sleep(10)
        dials = count_dials(one)
        await trio.sleep(10)
        assert dials == []
        one.links.unblock("n2", "in")
        await trio.sleep(10)
        assert dials


def count_dials(node):
    """A list that grows with each dial of a node."""
    dials = []
    network = node.links._network
    dial = network.dial
    network.dial = lambda address, timeout_s: (dials.append(address), dial(address, timeout_s))[1]
    return dials
