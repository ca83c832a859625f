"""Where peers are dialled, and what somebody is told who is none."""

import trio

from tests.peers.nodes import address_of, cluster_of


async def test_who_dials_says_where_it_is_dialled(autojump_clock):
    async with cluster_of() as cluster:
        one = await cluster.start("n1", known={"n2": ""})
        await trio.sleep(3)
        two = await cluster.start("n2", link=address_of("n2"))
        await one.until_up("n2")
        await two.until_up("n1")


async def test_refusals_at_a_new_address_prove_nothing_about_a_life_that_listened_elsewhere(autojump_clock):
    async with cluster_of() as cluster:
        one, _ = await cluster.start_all()
        one.links.add_peer("n2", address_of("nobody"))
        one.links.disconnect("n2", "a test")
        await trio.sleep(3)
        assert "dead n2 1" not in one.heard
        one.links.add_peer("n2", address_of("n2"))
        await one.until("up n2 1 data")


async def test_a_stranger_is_told_why(autojump_clock):
    async with cluster_of(
        objection=lambda caller, is_peer: None if is_peer else f"{caller.node} is unknown"
    ) as cluster:
        two = await cluster.start("n2")
        told = []
        two.links.on_refused.append(lambda peer, words: told.append((peer, words)))
        cluster.names.remove("n2")
        await cluster.start("n1")
        await trio.sleep(2)
        assert ("n1", "refused there: 'n2 is unknown'") in told
