"""What clients of surviving nodes ask while a queue has no master: transactions, gets, declares, bindings, limits."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
import trio

from broker.wire.basic_methods import (
    BasicAck,
    BasicQos,
    BasicQosOk,
    TxCommit,
    TxCommitOk,
    TxSelect,
    TxSelectOk,
)
from broker.wire.content import body_of
from broker.wire.methods import QueueBind, QueueBindOk
from tests.simulation.client import Client
from tests.simulation.stage import Inbox, Stage, bodies, play
from tests.simulation.world import HA_ALL, until

pytestmark = pytest.mark.slow

PATIENCE_S = 4.0
"""Twice the time after which a silent node is taken for dead."""


async def answered(asking: Awaitable[object]) -> object:
    """What comes, in time."""
    with trio.fail_after(PATIENCE_S):
        return await asking


@pytest.mark.parametrize("pause_s", [0.0, 0.0005, 0.001, 0.002, 0.005, 0.02])
def test_a_transaction_over_a_failover_is_carried_out_once(pause_s: float) -> None:
    """Nothing is lost, nothing comes twice; what it acknowledges does not come again."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 5)
        await stage.comes_to("q", "n1", "n2", "n3")
        client = await stage.client("n3")
        inbox = Inbox(client)
        await client.call(TxSelect(), TxSelectOk)
        await client.consume("q", 5)
        await client.wait_for(lambda: len(inbox.bodies) == 5)
        for body in bodies(50, 6):
            client.publish("q", body)
        client.acknowledge(inbox.tags[-1], multiple=True)
        await client.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answered, client.call(TxCommit(), TxCommitOk))
            await trio.sleep(pause_s)
            stage.world.kill("n1")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        await client.wait_for(lambda: len(inbox.bodies) >= 10)
        client.close()
        await trio.sleep(0.5)
        assert await (await stage.client("n2")).drain("q") == bodies(50, 6)

    play(scenario)


async def get(client: Client) -> object:
    return await client.get("q", no_ack=False)


async def declare(client: Client) -> object:
    return await client.declare("q")


async def count(client: Client) -> object:
    return await client.count("q")


async def bind(client: Client) -> object:
    return await client.call(QueueBind(queue="q", exchange="amq.fanout"), QueueBindOk)


async def consume(client: Client) -> object:
    return await client.consume("q", 1)


@pytest.mark.parametrize("ask", [get, declare, count, bind, consume])
def test_who_asks_while_there_is_no_master_is_answered_by_the_next(ask: Callable[[Client], Awaitable[object]]) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 5)
        clients = [await stage.client(node, f"at {node}") for node in ("n2", "n3")]
        stage.world.kill("n1")
        for client in clients:
            await answered(ask(client))

    play(scenario)


def test_a_limit_of_a_channel_counts_what_the_dead_master_gave_until_it_is_answered() -> None:
    async def scenario(stage: Stage) -> None:
        await stage.set_policy(HA_ALL)
        await stage.filled("q", 10)
        client = await stage.client("n2")
        inbox = Inbox(client)
        await client.call(BasicQos(prefetch_count=2, is_global=True), BasicQosOk)
        await client.consume("q", 2, shared=True)
        await client.wait_for(lambda: len(inbox.bodies) == 2)
        stage.world.kill("n1")
        await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 10)
        await until(lambda: stage.row("q")["consumers"] == 1, 5)
        await trio.sleep(1)
        assert len(inbox.bodies) == 2, "stale ones count"
        client.say(BasicAck(inbox.tags[-1], multiple=True))
        await client.flush()
        await client.wait_for(lambda: len(inbox.bodies) == 4)
        await trio.sleep(1)
        assert len(inbox.bodies) == 4
        assert stage.row("q")["messages"] == 10, "an old tag settles nothing any more"

    play(scenario)


@pytest.mark.parametrize("killed", ["n1", "n2"])
def test_what_is_fetched_and_answered_while_there_is_no_master_does_not_come_again(killed: str) -> None:
    """Also what was got one by one, and also of a queue that has all its copies elsewhere."""

    async def scenario(stage: Stage) -> None:
        await stage.set_policy({**HA_ALL, "ha-mode": "nodes", "ha-params": ["n1", "n2"]})
        await stage.filled("q", 5, node=killed)
        await until(lambda: stage.world.synchronised("q"), 10)
        assert stage.placed("q")[0] == killed
        client = await stage.client("n3")
        for body in bodies(3):
            got = await client.get("q", no_ack=False)
            assert got is not None
            assert body_of(got.content) == body
        stage.world.kill(killed)
        client.acknowledge(2, multiple=True)
        await client.flush()
        await until(lambda: stage.placed("q")[0] != killed, 10)
        left = await client.drain("q")
        assert Counter(left) == Counter(bodies(3, 3))

    play(scenario)
