"""Queues of which nobody may become master, for now or for long: who asks is told why, and who can wait waits."""

import pytest
import trio

from broker.wire.events import Acks
from broker.wire.methods import ChannelClose, QueueDeclare, QueueDeclareOk
from tests.vhosts.test_handle import clients, confirming, publish

CAUTIOUS = {"ha-promote-on-failure": "when-synced"}
DECLARE = QueueDeclare(queue="q", durable=True)


async def orphan(cluster):
    """Nobody but n1 holds everything, and n1 dies."""
    for name in ("n2", "n3"):
        record = cluster.queue("q")
        cluster.decree.decide(do="leave_in_sync", id=record.id, node=name, life=1, version=record.version)
    cluster.kill("n1")


async def test_of_a_mirrored_queue_it_is_told_why_nobody_takes_over(autojump_clock):
    async with clients(policy=CAUTIOUS) as (cluster, _, _three):
        await orphan(cluster)
        for asked in (DECLARE, QueueDeclare(queue="q", passive=True)):
            client = await cluster.nodes["n2"].client()
            closed = await client.ask(1, asked, ChannelClose)
            assert (closed.reply_code, closed.reply_text) == (
                404,
                "NOT_FOUND - home node 'rabbit@n1' of durable queue 'q' in vhost '/' is down or inaccessible: no "
                "synchronised mirror and ha-promote-on-failure is when-synced; waiting for n1",
            )


@pytest.mark.parametrize("heir", ["n2", "n3"])
async def test_while_the_mirrors_are_asked_who_has_most_everybody_waits(autojump_clock, heir):
    async with clients(policy={"ha-sync-mode": "manual"}) as (cluster, _, three):
        await confirming(three)
        two = await cluster.nodes["n2"].client()
        cluster.network.cut("n1", "n3")
        await publish(three, "a")  # under way when the master dies
        await trio.sleep(0.1)
        await orphan(cluster)
        assert cluster.queue("q").reason == "completeness"
        await publish(three, "b")
        answers = []

        async def declare():
            answers.append(await two.ask(1, DECLARE, QueueDeclareOk))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(declare)
            await trio.sleep(0.5)
            assert not answers
            record = cluster.queue("q")
            counts = {"n2": 0, "n3": 0, heir: 1}
            cluster.decree.decide(do="promote_most_complete", id=record.id, counts=counts, version=record.version)
            while (await three.expect(Acks)).last_tag < 2:
                pass
        assert cluster.queue("q").master.node == heir
