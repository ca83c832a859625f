"""Dead letters and delayed messages come exactly once when a master dies, whoever else dies with it (rule S16)."""

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest
import trio

from broker.mirroring.ranges import Range
from broker.mirroring.repeats import Repeats
from broker.wire.basic_methods import BasicReject
from broker.wire.content import body_of
from broker.wire.events import Delivered
from broker.wire.message import Place
from broker.wire.methods import ExchangeDeclare, ExchangeDeclareOk, QueueBind, QueueBindOk
from broker.wire.properties import Properties
from tests.simulation.client import Client
from tests.simulation.judges import Broken
from tests.simulation.stage import Stage, bodies
from tests.simulation.world import HA_ALL, World, policy, simulate, until

MESSAGES = 100


class Rejecter:
    """A consumer that wants nothing, and says so a few at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tags: list[int] = []
        client.on_deliver = lambda event: self._tags.extend(
            range(event.first_tag, event.first_tag + len(event.contents))
        )

    async def run(self, chance: Random) -> None:
        """Until it is cancelled from outside."""
        await self._client.consume("q", 30)
        while True:
            await trio.sleep(chance.choice([0.001, 0.005, 0.01]))
            chance.shuffle(self._tags)
            for _ in range(chance.randint(0, len(self._tags))):
                self._client.say(BasicReject(self._tags.pop(), requeue=False))
            await self._client.flush()


def judge_letters(seen: Counter[bytes]) -> None:
    """Each came, and came once."""
    repeated = sorted(body for body, times in seen.items() if times > 1)
    missing = sorted(set(bodies(MESSAGES)) - seen.keys())
    if repeated or missing:
        raise Broken(f"letters: {len(repeated)} came again, {repeated[:5]}; {len(missing)} did not, {missing[:5]}")


async def reject_all(stage: Stage, chance: Random, nursery: trio.Nursery) -> None:
    """Messages that die by rejection, at a node that goes on."""
    await stage.filled("q", MESSAGES, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    await until(lambda: stage.world.synchronised("q", "dead"), 10)
    nursery.start_soon(Rejecter(await stage.client("n3", "rejecter")).run, chance)


async def delay_all(stage: Stage, chance: Random, nursery: trio.Nursery) -> None:
    """Messages that wait for a while before they come to a queue."""
    client = await stage.client("n1", "delayer")
    declare = ExchangeDeclare(
        exchange="late", type="x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"}
    )
    await client.call(declare, ExchangeDeclareOk)
    await client.call(QueueBind(queue="dead", exchange="late", routing_key="k"), QueueBindOk)
    await until(stage.world.synchronised, 10)
    await client.confirm_select()
    for body in bodies(MESSAGES):
        headers = {"x-delay": chance.randrange(500, 900)}
        client.publish_to("late", "k", body, Properties(delivery_mode=2, headers=headers))
    await client.flush()
    await client.wait_for(lambda: not client.unconfirmed)
    await trio.sleep(0.5)


def let_die(seed: int, dying: Callable[..., Awaitable[None]], doomed: str = "n1", target_at: str = "n1") -> None:
    """Messages go from one queue to another while a node dies that has masters of them."""
    seen: Counter[bytes] = Counter()

    async def story(world: World) -> None:
        stage, chance = Stage(world), Random(seed)
        await (await stage.client(target_at, "declarer")).declare("dead")
        async with trio.open_nursery() as nursery:
            await dying(stage, chance, nursery)
            await trio.sleep(chance.uniform(0.0, 0.1))
            for node in ("n2", "n3"):
                if node != doomed and chance.random() < 0.5:
                    world.network.cut(node, doomed, one_way=True)
            await trio.sleep(chance.uniform(0.0, 0.2))
            world.kill(doomed)
            await until(lambda: world.queue("dead").master.node != doomed, 20)
            await until(lambda: all(world.master(record) for record in world.queues()), 20)
            await until(lambda: sources_are_empty(world), 30)
            nursery.cancel_scope.cancel()
        reader = await stage.client("n3", "reader")

        def take(event: Delivered) -> None:
            seen.update(map(body_of, event.contents))

        reader.on_deliver = take
        await reader.consume("dead", 0, no_ack=True)
        await until(lambda: stage.row("dead")["messages"] == 0, 20)
        await trio.sleep(1)

    simulate(seed, story, policies=[policy(HA_ALL)])
    judge_letters(seen)


def sources_are_empty(world: World) -> bool:
    """Whether nothing is left but in the queue for letters."""
    masters = [world.master(record) for record in world.queues() if record.name != "dead"]
    return all(master is not None and not next(master.queue.living(), None) for master in masters)


def test_letters_come_once_though_both_masters_die() -> None:
    let_die(0, reject_all)


@pytest.mark.slow
@pytest.mark.parametrize("dying", [reject_all, delay_all])
@pytest.mark.parametrize("target_at", ["n1", "n2"])
@pytest.mark.parametrize("seed", range(8))
def test_letters_come_once_by_more_seeds(seed: int, target_at: str, dying: Callable[..., Awaitable[None]]) -> None:
    let_die(seed, dying, target_at=target_at)


def forget_all_letters(patch: pytest.MonkeyPatch) -> None:
    """A queue takes whatever comes."""

    def all_of_them(repeats: Repeats, place: Place, count: int) -> list[Range]:
        return [(0, count)]

    patch.setattr(Repeats, "fresh", all_of_them)


def remember_letters_at_the_master_only(patch: pytest.MonkeyPatch) -> None:
    """What was taken is not told to mirrors."""
    patch.setattr(Repeats, "learn", lambda *_: [])


@pytest.mark.slow
@pytest.mark.parametrize("break_rule", [forget_all_letters, remember_letters_at_the_master_only])
def test_a_judge_sees_it(break_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    break_rule(monkeypatch)
    assert any(is_seen(seed) for seed in range(40))


def is_seen(seed: int) -> bool:
    """Whether the judge sees something."""
    try:
        let_die(seed, reject_all)
    except Broken:
        return True
    return False
