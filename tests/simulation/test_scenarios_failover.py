"""Acceptance scenarios 10, 14, 15, 17, 19 and 29: to synchronise, to fail over, to come back, on simulated clusters."""

import itertools

import pytest
import trio

from broker.amqp.client import CAPABILITIES
from broker.wire.basic_methods import BasicReject
from broker.wire.methods import QueueBind, QueueBindOk
from tests.simulation.client import Client, Refused
from tests.simulation.stage import Inbox, Stage, bodies, play
from tests.simulation.world import HA_ALL, until

MANUAL = {"ha-mode": "nodes", "ha-params": ["n1", "n2"]}


def test_scenario_10_a_sync_by_hand_with_unacked_messages() -> None:
    """Only what the mirror really lacks counts as missing."""

    async def scenario(stage: Stage) -> None:
        client = await stage.filled("q", 2)
        assert await client.get("q", no_ack=False)
        assert await client.get("q", no_ack=False)
        await stage.set_policy(MANUAL)
        await until(lambda: stage.row("q")["unsynchronised"] == {"n2": 2}, 5)
        await trio.sleep(2)
        assert stage.row("q")["in_sync"] == []
        await stage.synchronise("q")
        await until(lambda: stage.row("q")["in_sync"] == ["n2"], 5)
        client.say(BasicReject(1, requeue=True))
        client.say(BasicReject(2, requeue=True))
        await client.flush()
        await until(lambda: stage.row("q")["messages_ready"] == 2, 5)
        assert stage.copies_are_equal("q", "n1", "n2")
        stage.world.kill("n1")
        await until(lambda: stage.placed("q")[0] == "n2", 10)
        assert await (await stage.client("n3")).drain("q") == bodies(2)

    play(scenario)


async def publish_while_killed(stage: Stage, count: int, burst: int) -> None:
    """So many messages through n3 with confirms; after a third of them the master on n1 dies."""
    producer = await stage.client("n3", "producer")
    await producer.confirm_select()
    for first in range(1, count + 1, burst):
        for body in bodies(burst, first):
            producer.publish("q", body)
        await producer.flush()
        if first <= count // 3 < first + burst:
            stage.world.kill("n1")
        await producer.wait_for(lambda: len(producer.unconfirmed) < 4 * burst)
    await producer.wait_for(lambda: not producer.unconfirmed)


class Reader:
    """A consumer that acknowledges what it gets, and consumes anew when it is cancelled."""

    def __init__(self, client: Client, **arguments: bool) -> None:
        self.client = client
        self.inbox = Inbox(client)
        self.cancelled = 0
        self.acknowledged = 0
        self._arguments = arguments

    async def run(self) -> None:
        """Until it is cancelled from outside."""
        client, inbox = self.client, self.inbox
        await client.consume("q", 300, **self._arguments)
        while True:
            await client.wait_for(lambda: len(client.cancelled) > self.cancelled or len(inbox.tags) > self.acknowledged)
            if len(client.cancelled) > self.cancelled:
                self.cancelled += 1
                await client.consume("q", 300, tag=f"c{self.cancelled}", **self._arguments)
            if len(inbox.tags) > self.acknowledged:
                self.acknowledged = len(inbox.tags)
                client.acknowledge(inbox.tags[-1], multiple=True)
                await client.flush()

    def in_order(self) -> bool:
        """Whether numbers count up by one, repeats apart."""
        highest = 0
        for body in self.inbox.bodies:
            if int(body) > highest + 1:
                return False
            highest = max(highest, int(body))
        return True


def test_scenario_14_a_consumer_that_asked_for_it_is_told_and_consumes_again() -> None:
    consume_over_a_failover(20_000, cancel=True, capable=True)


@pytest.mark.parametrize("capable", [True, False], ids=["told-of-cancels", "old-client"])
def test_scenario_15_other_consumers_just_go_on(capable: bool) -> None:
    consume_over_a_failover(2_000, cancel=False, capable=capable)


def consume_over_a_failover(count: int, *, cancel: bool, capable: bool) -> None:
    """Every message arrives; no gap in the order except repeats."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await (await stage.client("n1", "declarer")).declare("q")
        capabilities = CAPABILITIES if capable else {}
        arguments = {"x-cancel-on-ha-failover": True} if cancel else {}
        reader = Reader(await stage.client("n2", "reader", capabilities), **arguments)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            await publish_while_killed(stage, count, burst=count // 100)
            await until(lambda: len(set(reader.inbox.bodies)) == count, 20)
            await until(lambda: stage.row("q")["messages"] == 0, 5)
            nursery.cancel_scope.cancel()
        assert reader.cancelled == (1 if cancel else 0)
        assert reader.in_order()
        assert stage.placed("q")[0] in ("n2", "n3")

    play(scenario)


@pytest.mark.parametrize("order", list(itertools.permutations(["n1", "n2", "n3"])), ids="-".join)
def test_scenario_17_all_but_one_die_and_come_back_in_any_order(order: tuple[str, str, str]) -> None:
    """With pause_minority the third pauses; the contents are there when a majority is back."""

    async def scenario(stage: Stage) -> None:
        world = stage.world
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 20)
        world.kill("n1", power=True)
        await trio.sleep(0.5)
        world.kill("n2")
        await until(lambda: world.serving() == [], 10)
        world.kill("n3", power=True)
        for name in order:
            await trio.sleep(1.0)
            world.start(name)
        await until(world.synchronised, 20)
        client = await stage.client(order[0])
        assert await client.count("q") == 20
        assert await client.drain("q") == bodies(20)

    play(scenario)


def test_scenario_19_unacked_messages_come_back_in_order_and_flagged() -> None:
    """What nobody can have seen comes unflagged (S7); the old tags can be acknowledged without an error."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        client = await stage.client("n2")
        inbox = Inbox(client)
        await client.consume("q", 3)
        await client.wait_for(lambda: len(inbox.bodies) == 3)
        stage.world.kill("n1")
        await client.wait_for(lambda: len(inbox.bodies) == 6)
        assert inbox.bodies == bodies(3) + bodies(3)
        assert inbox.flags == [False] * 3 + [True] * 3
        client.acknowledge(inbox.tags[2], multiple=True)  # of the old master's: no error, and no effect
        await client.flush()
        await trio.sleep(1)
        assert len(inbox.bodies) == 6
        client.acknowledge(inbox.tags[5], multiple=True)
        await client.flush()
        await client.wait_for(lambda: len(inbox.bodies) == 9)  # the prefetch of 3 works again
        assert inbox.bodies[6:] == bodies(3, 4)
        assert stage.row("q")["messages"] == 7

    play(scenario)


def test_scenario_29_a_durable_queue_without_mirrors_is_gone_with_its_node() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        (await stage.filled("q", 10)).close()
        await world.stop("n1")
        client = await stage.client("n2")
        text = "home node 'rabbit@n1' of durable queue 'q' in vhost '/' is down or inaccessible"
        with pytest.raises(Refused, match=f"404 NOT_FOUND - {text}"):
            await client.declare("q", passive=True)
        world.start("n1")
        await world.ready()
        assert await (await stage.client("n2")).drain("q") == bodies(10)

    play(scenario)


def test_scenario_29_a_queue_that_is_not_durable_goes_with_its_bindings_and_consumers() -> None:
    async def scenario(stage: Stage) -> None:
        world = stage.world
        declarer = await stage.client("n1", "declarer")
        await declarer.declare("q", durable=False)
        await declarer.call(QueueBind(queue="q", exchange="amq.fanout"), QueueBindOk)
        consumer = await stage.client("n2")
        await consumer.consume("q", 10)
        await world.stop("n1")
        await consumer.wait_for(lambda: consumer.cancelled == ["c"])
        with pytest.raises(Refused, match="404 NOT_FOUND - no queue 'q' in vhost '/'"):
            await consumer.declare("q", passive=True)
        hall = world.hall("n2")
        assert hall is not None
        assert not hall.catalogue.vhosts["/"].graph.route("amq.fanout", "", None)
        world.start("n1")
        await world.ready()
        with pytest.raises(Refused, match="404"):
            await (await stage.client("n1")).declare("q", passive=True)

    play(scenario)


def test_two_mirrors_that_are_filled_at_once_both_enter() -> None:
    """Both entries are proposed for the same version of the record; the one that is refused must be proposed again,
    though nothing is published that would bring it up."""

    async def scenario(stage: Stage) -> None:
        await stage.filled("q", 10)
        await stage.set_policy(HA_ALL)
        await stage.comes_to("q", "n1", "n2", "n3")

    play(scenario)
