"""Quorum queues, single active consumers and exclusive ones, through several nodes and over the death of a master."""

import pytest
import trio

from broker.wire.basic_methods import BasicConsume, BasicConsumeOk, BasicReject
from broker.wire.content import body_of
from broker.wire.events import Content
from broker.wire.properties import Properties, headers_of
from tests.simulation.client import TRANSIENT, Client, Refused
from tests.simulation.stage import Inbox, Stage, bodies, play
from tests.simulation.world import HA_ALL, until

LIMITED = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 2,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": "dead",
}


async def fetched(client: Client, queue: str) -> tuple[bytes, int, bool]:
    """The next message, how often it came back before, and its flag; it is given back at once."""
    got = await client.get(queue, no_ack=False)
    assert isinstance(got, Content)
    client.say(BasicReject(int.from_bytes(got.payload[:8], "big"), requeue=True))
    await client.flush()
    await trio.sleep(0.2)
    return body_of(got.content), headers_of(got.content)["x-delivery-count"], bool(got.payload[8])


def test_a_delivery_limit_holds_over_failover_and_restart_and_nothing_of_a_quorum_queue_is_lost() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        client = await stage.client("n1")
        await client.declare("dead")
        await client.declare("q", arguments=LIMITED)
        await client.confirm_select()
        for body in bodies(2):
            client.publish_to("", "q", body, TRANSIENT)
        await client.flush()
        await client.wait_for(lambda: not client.unconfirmed)
        assert await fetched(client, "q") == (b"1", 0, False)
        world.kill("n1", power=True)
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        assert await fetched(await stage.client("n3"), "q") == (b"1", 1, True)
        world.kill("n2", "n3", power=True)
        await trio.sleep(0.5)
        for name in ("n1", "n2", "n3"):
            world.start(name)
        await until(lambda: world.serving() == ["n1", "n2", "n3"] and world.synchronised(), 30)
        client = await stage.client("n1")
        assert await fetched(client, "q") == (b"1", 2, True)
        assert (await fetched(client, "q"))[:2] == (b"2", 0), "the first one is gone"
        dead = await client.get("dead")
        assert dead is not None
        (death,) = headers_of(dead.content)["x-death"]
        assert (body_of(dead.content), death["reason"], death["queue"]) == (b"1", "delivery_limit", "q")

    play(scenario)


def test_a_quorum_queue_has_its_copies_whatever_policies_say() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy({"ha-mode": "exactly", "ha-params": 1, "ha-promote-on-failure": "always"})
        await stage.filled("q", 5, arguments={"x-queue-type": "quorum", "x-quorum-initial-group-size": 3})
        await stage.comes_to("q", "n1", "n2", "n3")
        for name in ("n2", "n3"):  # each comes back, and is filled without being told to
            world.kill(name)
            await trio.sleep(0.5)
            world.start(name)
            await stage.comes_to("q", "n1", "n2", "n3")
        world.kill("n1")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        assert await (await stage.client("n2")).drain("q") == bodies(5)

    play(scenario)


async def consume(client: Client, tag: str, *, exclusive: bool = False, **arguments: int) -> Inbox:
    """A consumer without a limit."""
    inbox = Inbox(client)
    await client.call(
        BasicConsume(queue="q", consumer_tag=tag, exclusive=exclusive, arguments=arguments), BasicConsumeOk
    )
    return inbox


def test_one_consumer_at_a_time_wherever_they_are_and_whoever_dies() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        filler = await stage.filled("q", 3, arguments={"x-single-active-consumer": True})
        filler.close()
        first = await consume(await stage.client("n2", "first"), "first")
        await until(lambda: len(first.bodies) == 3, 5)
        second = await consume(await stage.client("n3", "second"), "second")
        world.kill("n1")
        await until(lambda: len(first.bodies) + len(second.bodies) == 6, 10)
        producer = await stage.client("n3", "producer")
        await producer.confirm_select()
        await producer.publish_all("q", bodies(2, 4))
        await until(lambda: len(first.bodies) + len(second.bodies) == 8, 5)
        assert 3 in (len(first.bodies), len(second.bodies)) or not second.bodies, "not both of them"
        active = "n2" if len(first.bodies) > 3 else "n3"
        world.start("n1")
        await until(world.synchronised, 20)
        before = len(first.bodies), len(second.bodies)
        world.kill(active)
        other = second if active == "n2" else first
        had = before[1] if active == "n2" else before[0]
        await until(lambda: len(other.bodies) == had + 5, 15)
        assert other.bodies[had:] == bodies(5)
        assert all(other.flags[had:])

    play(scenario)


def test_exclusive_use_is_kept_over_a_failover() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        producer = await stage.filled("q", 0, node="n3")
        owner = await stage.client("n2", "owner")
        inbox = await consume(owner, "mine", exclusive=True)
        text = "403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"
        with pytest.raises(Refused, match=text):
            await consume(await stage.client("n1", "rival"), "rival")
        stage.world.kill(stage.placed("q")[0] or "n3")
        await until(lambda: stage.placed("q")[0] in ("n1", "n2"), 10)
        producer = await stage.client("n1", "producer")
        await producer.confirm_select()
        await producer.publish_all("q", bodies(2))
        await until(lambda: inbox.bodies == bodies(2), 5)
        with pytest.raises(Refused, match=text):
            await consume(await stage.client("n1", "rival"), "rival")

    play(scenario)


def test_consumers_of_other_nodes_have_their_priorities() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        producer = await stage.filled("q", 0)
        low = await consume(await stage.client("n1", "low"), "low", **{"x-priority": -1})
        high = await consume(await stage.client("n2", "high"), "high", **{"x-priority": 5})
        await trio.sleep(0.1)  # that it has room is still on its way to the master
        await producer.publish_all("q", bodies(4))
        await until(lambda: len(high.bodies) == 4, 5)
        stage.world.kill("n3")
        producer.publish_to("", "q", b"5", Properties(delivery_mode=2))
        await producer.flush()
        await until(lambda: len(high.bodies) == 5, 5)
        assert low.bodies == []

    play(scenario)


@pytest.mark.parametrize("killed", [False, True], ids=["quiet", "master-dies"])
def test_what_fits_is_taken_and_what_does_not_is_refused_message_by_message(killed: bool) -> None:
    """Small messages between large ones, through another node: an ack is in the queue, a nack is not, once each."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("q", 0, arguments={"x-max-length-bytes": 2500, "x-overflow": "reject-publish"})).close()
        producer = await stage.client("n3")
        answers: dict[bytes, bool] = {}
        producer.on_confirm = lambda body, acked: answers.update({body: acked})
        await producer.confirm_select()
        for number in range(60):
            producer.publish("q", b"%02d" % number + b"." * (10 if number % 3 else 900))
            if number % 20 == 19:
                await producer.flush()
            if killed and number == 39:
                stage.world.kill("n1")
        await producer.wait_for(lambda: not producer.unconfirmed)
        taken = [body for body in sorted(answers) if answers[body]]
        assert len(answers) == 60
        assert {len(body) for body in answers if not answers[body]} == {902}, "only large ones are refused"
        assert await (await stage.client("n2")).drain("q") == taken

    play(scenario)
