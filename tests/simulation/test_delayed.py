"""Delayed messages and the death of nodes: nothing confirmed is lost, nothing comes before its time."""

import pytest
import trio

from broker.routing.delayed import delay_queue
from broker.wire.content import body_of
from broker.wire.events import Delivered
from broker.wire.methods import ExchangeDeclare, ExchangeDeclareOk, QueueBind, QueueBindOk
from broker.wire.properties import Properties
from tests.simulation.client import Client
from tests.simulation.stage import Stage, play
from tests.simulation.world import HA_ALL, until

pytestmark = pytest.mark.slow

WAITING = delay_queue("late")


async def set_up(stage: Stage, exchange_at: str, queue_at: str) -> None:
    """An exchange whose messages wait at one node, and a queue behind it at another."""
    declarer = await stage.client(exchange_at, "declarer")
    declare = ExchangeDeclare(
        exchange="late", type="x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"}
    )
    await declarer.call(declare, ExchangeDeclareOk)
    other = await stage.client(queue_at, "other")
    await other.declare("q")
    await other.call(QueueBind(queue="q", exchange="late", routing_key="k"), QueueBindOk)
    await until(lambda: stage.world.queue(WAITING).master.node == exchange_at, 5)


async def publish(client: Client, delays_ms: list[int]) -> dict[bytes, float]:
    """One message for each delay, confirmed; when each of them is due at the earliest."""
    await client.confirm_select()
    dues = {}
    for number, delay_ms in enumerate(delays_ms):
        body = b"%d" % number
        dues[body] = trio.current_time() + delay_ms / 1000
        client.publish_to("late", "k", body, Properties(delivery_mode=2, headers={"x-delay": delay_ms}))
    await client.flush()
    await client.wait_for(lambda: not client.unconfirmed)
    return dues


class Arrivals:
    """When each message came first."""

    def __init__(self, client: Client) -> None:
        self.times: dict[bytes, float] = {}
        client.on_deliver = self._take

    def _take(self, event: Delivered) -> None:
        for content in event.contents:
            self.times.setdefault(body_of(content), trio.current_time())

    def early(self, dues: dict[bytes, float]) -> list[bytes]:
        """Messages that came before their time; a clock of milliseconds may round one of them off."""
        return [body for body, time in self.times.items() if time < dues[body] - 0.001]


def test_what_waits_survives_its_master_and_is_not_late_for_it() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await set_up(stage, "n1", "n2")
        reader = await stage.client("n3", "reader")
        arrivals = Arrivals(reader)
        await reader.consume("q", 0, no_ack=True)
        dues = await publish(await stage.client("n3"), [*range(500, 5000, 15), *range(5000, 500, -15)])
        await trio.sleep(2)
        assert 0 < len(arrivals.times) < len(dues)
        stage.world.kill("n1")
        await until(lambda: len(arrivals.times) == len(dues), 10)
        assert arrivals.early(dues) == []
        assert max(arrivals.times[body] - due for body, due in dues.items()) < 2
        assert stage.world.queue(WAITING).master.node != "n1"

    play(scenario)


def test_what_waits_survives_the_power_of_all_nodes() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await set_up(stage, "n1", "n2")
        dues = await publish(await stage.client("n3"), [1_500, 60_000, 1_000])
        world = stage.world
        world.kill("n1", "n2", "n3", power=True)
        await trio.sleep(3)
        world.start()
        await world.ready()
        await until(lambda: world.master(world.queue("q")) is not None, 10)
        reader = await stage.client("n2", "reader")
        arrivals = Arrivals(reader)
        await reader.consume("q", 0, no_ack=True)
        await until(lambda: len(arrivals.times) == 2, 5)
        await until(lambda: len(arrivals.times) == 3, 90)
        assert arrivals.early(dues) == []
        assert arrivals.times[b"1"] - dues[b"1"] < 0.1

    play(scenario)


def test_a_target_that_dies_gets_what_it_had_not_confirmed() -> None:
    """The messages go on to another node, which is killed while they come: its successor has all of them."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await set_up(stage, "n1", "n2")
        dues = await publish(await stage.client("n3"), [*range(1000, 2000, 5)])
        await trio.sleep(1.5)
        stage.world.kill("n2")
        reader = await stage.client("n3", "reader")
        arrivals = Arrivals(reader)
        await reader.consume("q", 0, no_ack=True)
        await until(lambda: len(arrivals.times) == len(dues), 10)
        assert stage.world.queue("q").master.node != "n2"

    play(scenario)


def test_what_is_due_waits_for_a_queue_whose_node_is_down() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL, pattern="^late$")
        await set_up(stage, "n1", "n2")
        dues = await publish(await stage.client("n3"), [1000, 2000])
        stage.world.kill("n2")
        await trio.sleep(5)
        assert stage.world.queue("q").state != "running"
        stage.world.start("n2")
        await until(lambda: stage.world.master(stage.world.queue("q")) is not None, 10)
        reader = await stage.client("n3", "reader")
        arrivals = Arrivals(reader)
        await reader.consume("q", 0, no_ack=True)
        await until(lambda: len(arrivals.times) == len(dues), 10)

    play(scenario)
