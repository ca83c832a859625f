"""Acceptance scenarios 16, 20, 21, 23 and 24: what publishers, consumers and limits see of a failover."""

from collections import Counter
from functools import partial
from typing import Any

import pytest
import trio

from broker.mirroring.master import Master
from broker.wire.basic_methods import BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk
from broker.wire.content import body_of
from broker.wire.message import Run
from tests.simulation.client import Client, Refused
from tests.simulation.stage import Inbox, Stage, bodies, play
from tests.simulation.world import HA_ALL, until


async def consume(client: Client, tag: str, *, no_ack: bool = False, **arguments: Any) -> Inbox:
    """A consumer without a limit."""
    inbox = Inbox(client)
    method = BasicConsume(queue="q", consumer_tag=tag, no_ack=no_ack, arguments=arguments)
    await client.call(method, BasicConsumeOk)
    return inbox


class Producer:
    """Publishes to `q` in confirm mode and keeps what it was answered."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers: dict[bytes, bool] = {}
        client.on_confirm = lambda body, acked: self.answers.update({body: acked})

    async def publish(self, count: int, pause_s: float = 0.01) -> None:
        """One after the other, not waiting for answers."""
        await self.client.confirm_select()
        for body in bodies(count):
            self.client.publish("q", body)
            await self.client.flush()
            await trio.sleep(pause_s)

    async def answered(self) -> None:
        """Wait until nothing is open."""
        await self.client.wait_for(lambda: not self.client.unconfirmed)


# ---------------------------------------------------------------------- 16: confirms


@pytest.mark.parametrize("change", ["stop", "policy"])
def test_scenario_16_every_publish_is_answered_when_the_master_stops_or_moves(change: str) -> None:
    """All acked or nacked, none missing; and what was acked is there."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy({**HA_ALL, "ha-mode": "nodes", "ha-params": ["n1", "n2"]})
        (await stage.filled("q", 0)).close()
        producer = Producer(await stage.client("n3", "producer"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(producer.publish, 200)
            await trio.sleep(0.5)
            if change == "stop":
                await stage.world.stop("n1")
            else:
                await stage.set_policy({**HA_ALL, "ha-mode": "nodes", "ha-params": ["n2", "n3"]})
        await producer.answered()
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        assert len(producer.answers) == 200
        acked = [body for body in bodies(200) if producer.answers[body]]
        assert acked
        assert await (await stage.client("n2")).drain("q") == acked

    play(scenario)


def test_scenario_16_a_full_queue_refuses_all_over_a_failover() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 5, arguments={"x-max-length": 5, "x-overflow": "reject-publish"})
        producer = Producer(await stage.client("n3", "producer"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(producer.publish, 60)
            await trio.sleep(0.3)
            stage.world.kill("n1")
        await producer.answered()
        assert Counter(producer.answers.values()) == {False: 60}
        assert await (await stage.client("n2")).drain("q") == bodies(5)

    play(scenario)


# ---------------------------------------------------------------------- 20, 21: what may have been seen


def test_scenario_20_only_what_may_have_been_seen_comes_flagged() -> None:
    """Messages that no consumer can have seen come with redelivered=false; those delivered, or possibly delivered,
    with true."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("unseen", 20)).close()
        filler = await stage.filled("q", 3)
        first = await stage.client("n2", "first")
        seen = await consume(first, "first")
        await first.wait_for(lambda: len(seen.bodies) == 3)
        first.close()
        await until(lambda: stage.row("q")["messages_ready"] == 3, 5)
        filler.close()
        filler = await stage.client("n3", "filler")
        await filler.confirm_select()
        await filler.publish_all("q", bodies(20, 4))
        stage.world.kill("n1")
        await until(lambda: "n1" not in (stage.placed("q")[0], stage.placed("unseen")[0]), 10)
        second = await stage.client("n3", "second")
        inbox = await consume(second, "second")
        await second.wait_for(lambda: len(inbox.bodies) == 23)
        assert inbox.bodies == bodies(23)
        assert inbox.flags == [True] * 3 + [False] * 20
        other = await stage.client("n2", "other")
        unseen = Inbox(other)
        await other.consume("unseen", 0)
        await other.wait_for(lambda: len(unseen.bodies) == 20)
        assert not any(unseen.flags)

    play(scenario)


@pytest.mark.parametrize("seed", [47, 86])
def test_scenario_21_what_needs_no_acknowledgement_may_be_lost_and_comes_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no mirror had yet, and was delivered, is told by nobody: its publisher's node sends it again, flagged."""
    sent_again: set[bytes] = set()
    publish = Master.publish

    def watched(master: Master, run: Run, stamp_ms: int) -> Any:
        sent_again.update(body_of(content) for content in run.contents if run.redelivered)
        return publish(master, run, stamp_ms)

    monkeypatch.setattr(Master, "publish", watched)

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("q", 0)).close()
        inbox = await consume(await stage.client("n2", "consumer"), "c", no_ack=True)
        producer = Producer(await stage.client("n3", "producer"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(producer.publish, 300, 0.002)
            await trio.sleep(0.3)
            stage.world.kill("n1")
        await producer.answered()
        await until(lambda: stage.row("q")["messages"] == 0, 10)
        await trio.sleep(1)
        assert all(producer.answers.values())
        assert {body for body, count in Counter(inbox.bodies).items() if count > 1} <= sent_again, "not twice"
        assert inbox.bodies == sorted(inbox.bodies, key=int)
        assert len(inbox.bodies) > 250, "only what was under way is lost"

    play(scenario, seed)


def test_scenario_21_an_auto_delete_queue_remembers_that_it_had_consumers() -> None:
    """Also over a promotion."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("unused", 1, auto_delete=True)
        (await stage.filled("q", 3, auto_delete=True)).close()
        client = await stage.client("n2", "consumer")
        inbox = await consume(client, "c")
        await client.wait_for(lambda: len(inbox.bodies) == 3)
        stage.world.kill("n1")
        await client.wait_for(lambda: len(inbox.bodies) == 6)
        await client.call(BasicCancel("c"), BasicCancelOk)
        await until(partial(is_gone, stage, "q"), 5)
        assert await (await stage.client("n3")).count("unused") == 1, "it never had a consumer"

    play(scenario)


def test_scenario_21_an_auto_delete_queue_goes_when_its_last_consumer_died_with_the_node() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("q", 3, auto_delete=True)).close()
        client = await stage.client("n1", "consumer")
        inbox = await consume(client, "c")
        await client.wait_for(lambda: len(inbox.bodies) == 3)
        stage.world.kill("n1")
        await until(partial(is_gone, stage, "q"), 10)

    play(scenario)


def is_gone(stage: Stage, queue: str) -> bool:
    """Whether no node that serves knows it."""
    return all(queue not in {record.name for record in stage.world.queues()} for _ in stage.world.serving())


def test_scenario_21_a_mirrored_queue_that_is_not_durable_survives_a_kill() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10, durable=False)
        stage.world.kill("n1")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        assert await (await stage.client("n3")).drain("q") == bodies(10)

    play(scenario)


# ---------------------------------------------------------------------- 23, 24: limits, who is active


def test_scenario_23_a_promotion_applies_time_to_live_and_length_at_once() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy({**HA_ALL, "max-length": 100})
        old = {"x-message-ttl": 1500, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        await (await stage.client("n2", "declarer")).declare("dead")
        await stage.filled("old", 5, arguments=old)
        await stage.filled("long", 10)
        world.freeze("n1")
        with trio.move_on_after(10):
            tree = world.tree("n2")
            assert tree is not None
            policy = {
                "do": "put_policy",
                "vhost": "/",
                "name": "p",
                "pattern": "^",
                "definition": {**HA_ALL, "max-length": 3},
            }
            await tree.propose(policy)
        await until(lambda: all(stage.placed(queue)[0] in ("n2", "n3") for queue in ("old", "long")), 15, 0.001)
        client = await stage.client("n3")
        assert await client.count("old") == 0
        assert await client.count("long") == 3
        assert await client.drain("long") == bodies(3, 8)
        await until(lambda: stage.row("dead", at="n2")["messages_ready"] == 3, 5)

    play(scenario)


def test_scenario_23_the_time_that_a_queue_may_stand_unused_starts_anew() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 1, arguments={"x-expires": 4000})
        await trio.sleep(3)
        stage.world.kill("n1")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 2)
        promoted = trio.current_time()
        await trio.sleep(3)
        assert not is_gone(stage, "q")
        await until(partial(is_gone, stage, "q"), 5)
        assert trio.current_time() - promoted >= 3.99

    play(scenario)


def test_scenario_24_one_active_consumer_after_a_failover() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("q", 0, arguments={"x-single-active-consumer": True})).close()
        inboxes = {name: await consume(await stage.client(name, f"on {name}"), name) for name in ("n3", "n2")}
        stage.world.kill("n1")
        producer = Producer(await stage.client("n3", "producer"))
        await producer.publish(10)
        await producer.answered()
        await until(lambda: sum(len(inbox.bodies) for inbox in inboxes.values()) == 10, 5)
        await trio.sleep(1)
        assert sorted(inbox.bodies for inbox in inboxes.values()) == [[], bodies(10)]

    play(scenario)


def test_scenario_24_priorities_of_consumers_are_kept_over_a_failover() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("q", 0)).close()
        low = await consume(await stage.client("n2", "low"), "low", **{"x-priority": -1})
        high = await consume(await stage.client("n3", "high"), "high", **{"x-priority": 5})
        stage.world.kill("n1")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        await until(lambda: stage.row("q")["consumers"] == 2, 5)
        producer = Producer(await stage.client("n2", "producer"))
        await producer.publish(10)
        await producer.answered()
        await until(lambda: len(high.bodies) == 10, 5)
        assert low.bodies == []

    play(scenario)


def test_scenario_24_a_second_exclusive_consumer_is_refused_before_and_after() -> None:
    """What is kept of a consumer is also that it is alone."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        (await stage.filled("q", 0)).close()
        owner = await stage.client("n2", "owner")
        await owner.call(BasicConsume(queue="q", consumer_tag="mine", exclusive=True), BasicConsumeOk)
        for _ in range(2):
            with pytest.raises(Refused, match="403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"):
                await consume(await stage.client("n3", "rival"), "rival")
            if stage.placed("q")[0] == "n1":
                stage.world.kill("n1")
                await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
                await until(lambda: stage.row("q")["consumers"] == 1, 5)

    play(scenario)
