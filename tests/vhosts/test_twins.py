"""Every setting of a queue twice: by argument and by policy it does the same; a changed policy counts as it should."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.wire.basic_methods import BasicGet, BasicNack, BasicReject, ConfirmSelect, ConfirmSelectOk
from broker.wire.content import body_of
from broker.wire.events import Acks, Content
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from broker.wire.properties import headers_of
from tests.vhosts.door import open_house

QUORUM = {"x-queue-type": "quorum"}


class Bench:
    """A queue `q`, a queue `dead` for its dead letters, and a client."""

    def __init__(self, house, client):
        self.house = house
        self.client = client

    async def policy(self, **definition):
        named = {name.replace("_", "-"): value for name, value in definition.items()}
        await self.house.hall.tree.propose(
            {"do": "put_policy", "vhost": "/", "name": "p", "pattern": "^q$", "definition": named}
        )

    @property
    def queue(self):
        return self.house.vhost.handles["q"].local.queue

    async def publish(self, *bodies):
        for body in bodies:
            self.client.connection.publish(1, "", "q", body)
        await self.client.flush()
        await trio.sleep(0.01)

    async def got(self, queue="q"):
        """A message, to be acknowledged."""
        self.client.connection.call(1, BasicGet(queue=queue, no_ack=False))
        return await self.client.expect(Content)

    async def dead(self):
        """The next dead letter, and what it died of last."""
        got = await self.got("dead")
        return body_of(got.content), headers_of(got.content)["x-death"][0]["reason"]


@asynccontextmanager
async def bench(by, arguments=None, **settings):
    """`q` with these settings, by argument or by policy."""
    async with open_house() as house:
        client = await house.client()
        stage = Bench(house, client)
        given = {f"x-{name.replace('_', '-')}": value for name, value in settings.items()} if by == "argument" else {}
        if by == "policy":
            await stage.policy(**settings)
        await client.ask(1, QueueDeclare(queue="dead"), QueueDeclareOk)
        declare = QueueDeclare(queue="q", durable=True, arguments={**(arguments or {}), **given})
        await client.ask(1, declare, QueueDeclareOk)
        yield stage


DEAD = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
twins = pytest.mark.parametrize("by", ["argument", "policy"])


@twins
async def test_message_ttl_and_dead_letters(by, autojump_clock):
    async with bench(by, message_ttl=100, **DEAD) as stage:
        await stage.publish(b"a")
        await trio.sleep(0.2)
        assert await stage.dead() == (b"a", "expired")


@twins
async def test_max_length_pushes_out_the_oldest(by, autojump_clock):
    async with bench(by, max_length=1, **DEAD) as stage:
        await stage.publish(b"a", b"b")
        assert await stage.dead() == (b"a", "maxlen")
        assert stage.queue.messages_ready == 1


@twins
async def test_max_length_bytes_and_overflow(by, autojump_clock):
    async with bench(by, max_length_bytes=3, overflow="reject-publish-dlx", **DEAD) as stage:
        await stage.publish(b"aa", b"bbb", b"c")
        assert (await stage.dead(), stage.queue.messages_ready) == ((b"bbb", "maxlen"), 2)


@twins
async def test_reject_publish(by, autojump_clock):
    async with bench(by, max_length=1, overflow="reject-publish") as stage:
        await stage.client.ask(1, ConfirmSelect(), ConfirmSelectOk)
        await stage.publish(b"a", b"b")
        assert stage.queue.messages_ready == 1
        await stage.client.expect(Acks)
        await stage.client.expect(BasicNack)


@twins
async def test_expires(by, autojump_clock):
    async with bench(by, expires=300) as stage:
        await trio.sleep(0.2)
        assert "q" in stage.house.vhost.handles
        await trio.sleep(0.2)
        assert "q" not in stage.house.vhost.handles


@twins
async def test_delivery_limit_of_a_quorum_queue(by, autojump_clock):
    async with bench(by, QUORUM, delivery_limit=1, **DEAD) as stage:
        await stage.publish(b"a")
        for tag in (1, 2):
            await stage.got()
            stage.client.connection.call(1, BasicReject(tag, requeue=True))
        assert await stage.dead() == (b"a", "delivery_limit")


@twins
@pytest.mark.parametrize("setting", [{"queue_mode": "lazy"}, {"queue_version": 2}, {"queue_master_locator": "random"}])
async def test_what_says_only_where_messages_are_changes_nothing(by, setting, autojump_clock):
    async with bench(by, **setting) as stage:
        await stage.publish(b"a")
        assert body_of((await stage.got()).content) == b"a"


@twins
@pytest.mark.parametrize(
    "setting",
    [{"queue_leader_locator": "balanced"}, {"max_in_memory_length": 0}, {"dead_letter_strategy": "at-most-once"}],
)
async def test_what_only_quorum_queues_know_does_not_hinder_them(by, setting, autojump_clock):
    async with bench(by, QUORUM, **setting) as stage:
        await stage.publish(b"a")
        assert body_of((await stage.got()).content) == b"a"


async def test_limits_of_a_changed_policy_count_at_once(autojump_clock):
    async with bench("policy", max_length=5) as stage:
        await stage.publish(b"1", b"2", b"3", b"4", b"5")
        await stage.policy(max_length=3)
        assert stage.queue.messages_ready == 3
        await stage.policy(max_length_bytes=1)
        assert stage.queue.messages_ready == 1
        await stage.policy(max_length=1, overflow="reject-publish")
        await stage.publish(b"6")
        assert body_of((await stage.got()).content) == b"5"


async def test_a_ttl_of_a_changed_policy_is_for_what_comes(autojump_clock):
    async with bench("policy", message_ttl=100) as stage:
        await stage.publish(b"short")
        await stage.policy(message_ttl=10_000)
        await stage.publish(b"long")
        await trio.sleep(0.2)
        assert stage.queue.messages_ready == 1
        await stage.policy(message_ttl=50)
        await trio.sleep(0.2)
        assert stage.queue.messages_ready == 1


async def test_the_lower_number_counts(autojump_clock):
    async with bench("argument", max_length=3) as stage:
        await stage.policy(max_length=2)
        await stage.publish(b"1", b"2", b"3")
        assert stage.queue.messages_ready == 2
        await stage.policy(max_length=9)
        await stage.publish(b"4", b"5")
        assert stage.queue.messages_ready == 3
