"""What was acknowledged at a node that goes on does not come again when the master of its queue dies (rule S6)."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio

from broker.vhosts.hearing import Hearing
from broker.vhosts.settles import Settles
from broker.wire.basic_methods import BasicReject
from broker.wire.content import body_of
from broker.wire.events import Delivered
from broker.wire.properties import headers_of
from tests.simulation.client import Client
from tests.simulation.judges import Broken
from tests.simulation.stage import Stage, bodies
from tests.simulation.world import HA_ALL, World, policy, simulate, until

MESSAGES = 400
TO_DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
ON_ITS_WAY_S = 0.05
"""A client's word takes no longer to its node."""


class Reader:
    """A consumer that answers some of what it has, again and again; `done`: when it has answered for what."""

    def __init__(self, client: Client, chance: Random, done: dict[bytes, float], seen: Counter[bytes]) -> None:
        self._client = client
        self._chance = chance
        self._done = done
        self._seen = seen
        self._held: list[tuple[int, bytes]] = []
        client.on_deliver = self._take
        self.again: list[bytes] = []

    def _take(self, event: Delivered) -> None:
        for tag, content in enumerate(event.contents, event.first_tag):
            body = body_of(content)
            self._held.append((tag, body))
            self._seen[body] += 1
            done = self._done.get(body)
            if done is not None:
                self.again.append(body)

    async def run(self, *, rejects: bool) -> None:
        """Until it is cancelled from outside."""
        await self._client.consume("q", 20)
        while True:
            await trio.sleep(self._chance.choice([0.0, 0.002, 0.01, 0.03]))
            self._chance.shuffle(self._held)
            answered = [self._held.pop() for _ in range(self._chance.randint(0, len(self._held)))]
            for tag, body in answered:
                if rejects and self._chance.random() < 0.5:
                    self._client.say(BasicReject(tag, requeue=False))
                else:
                    self._client.acknowledge(tag)
                self._done.setdefault(body, trio.current_time())
            await self._client.flush()


def judge_settles(
    done: dict[bytes, float], again: list[bytes], killed: float, on_its_way_s: float = ON_ITS_WAY_S
) -> None:
    """What had been answered for when the master died came to nobody again."""
    wrong = [body for body in again if done[body] < killed - on_its_way_s]
    if wrong:
        raise Broken(f"again: {len(wrong)} messages that were acknowledged, {wrong[:5]}")


PAIR = {**HA_ALL, "ha-mode": "nodes", "ha-params": ["n1", "n2"]}
"""The next master is the only copy: no other one has to know of anything before it gives out the first message."""


def consume_over_a_death(seed: int, *, rejects: bool = False, mirroring: dict[str, Any] = HA_ALL) -> None:
    """Two consumers at nodes that go on; one of them is the next master."""
    done: dict[bytes, float] = {}
    seen: Counter[bytes] = Counter()
    again: list[bytes] = []
    killed: list[float] = []

    async def story(world: World) -> None:
        stage, chance = Stage(world), Random(seed)
        await stage.filled("q", MESSAGES)
        await until(lambda: world.synchronised("q"), 10)
        readers = [
            Reader(await stage.client(node, f"reader at {node}"), chance, done, seen) for node in ("n2", "n3", "n3")
        ]
        async with trio.open_nursery() as nursery:
            for reader in readers:
                nursery.start_soon(lambda reader=reader: reader.run(rejects=rejects))
            await trio.sleep(chance.uniform(0.01, 0.15))
            for node in ("n2", "n3"):
                world.network.cut(node, "n1", one_way=True)  # what they say from now on is said to the dead
            await trio.sleep(chance.uniform(0.0, 0.3))
            killed.append(trio.current_time())
            world.kill("n1")
            await until(lambda: set(seen) == set(bodies(MESSAGES)), 20)
            await until(lambda: stage.row("q")["messages"] == 0, 20)
            nursery.cancel_scope.cancel()
        again.extend(body for reader in readers for body in reader.again)

    simulate(seed, story, policies=[policy(mirroring)])
    judge_settles(done, again, *killed)


@pytest.mark.parametrize("mirroring", [HA_ALL, PAIR])
def test_what_was_acknowledged_does_not_come_again(mirroring: dict[str, Any]) -> None:
    consume_over_a_death(0, mirroring=mirroring)


def test_nor_what_was_rejected() -> None:
    consume_over_a_death(0, rejects=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 13))
def test_nor_by_more_seeds(seed: int) -> None:
    consume_over_a_death(seed, rejects=bool(seed % 2), mirroring=PAIR if seed % 4 > 1 else HA_ALL)


@pytest.mark.slow
@pytest.mark.parametrize("rejects", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_what_was_answered_for_at_a_master_that_moves_does_not_come_again(seed: int, rejects: bool) -> None:
    """Whoever was master goes on as a node, and so do its clients; dead letters may be under way just then."""
    done: dict[bytes, float] = {}
    seen: Counter[bytes] = Counter()
    again: list[bytes] = []
    moved: list[float] = []

    async def story(world: World) -> None:
        stage, chance = Stage(world), Random(seed)
        await stage.filled("dead", 0)
        await stage.filled("q", MESSAGES, arguments=TO_DEAD)
        await until(lambda: world.synchronised("q"), 10)
        reader = Reader(await stage.client("n1", "reader"), chance, done, seen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: reader.run(rejects=rejects))
            await trio.sleep(chance.uniform(0.01, 0.1))
            await stage.set_policy({**HA_ALL, "ha-mode": "nodes", "ha-params": ["n2", "n3"]})
            await until(lambda: stage.placed("q")[0] in ("n2", "n3"), 20, 0.001)
            moved.append(trio.current_time())
            await until(lambda: stage.row("q")["messages"] == 0, 20)
            nursery.cancel_scope.cancel()
        again.extend(reader.again)

    simulate(seed, story, policies=[policy(HA_ALL)])
    assert set(seen) == set(bodies(MESSAGES))
    judge_settles(done, again, *moved, on_its_way_s=0.003)


def keep_no_settles(patch: pytest.MonkeyPatch) -> None:
    """A consumer's node sends its word once."""
    patch.setattr(Settles, "again", lambda settles, term=0, above=0: iter(()))


def ask_nobody(patch: pytest.MonkeyPatch) -> None:
    """A new master gives out what others have answered for."""
    patch.setattr(Hearing, "_may_have_given", lambda *_: False)


@pytest.mark.parametrize("break_rule", [keep_no_settles, ask_nobody])
def test_a_judge_sees_it(break_rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    break_rule(monkeypatch)
    assert any(is_seen(seed) for seed in range(40))


def is_seen(seed: int) -> bool:
    """Whether the judge sees something."""
    try:
        consume_over_a_death(seed, mirroring=PAIR)
    except Broken:
        return True
    return False


@pytest.mark.slow
def test_what_a_queue_has_taken_of_a_life_is_forgotten_when_that_is_over() -> None:
    """By its master, and by every copy; what is published over its end is not in doubt by then."""

    def origins(world: World) -> list[set[str]]:
        record = world.queue("q")
        master = world.master(record)
        assert master is not None
        halls = [world.hall(life.node) for life in record.mirrors]
        mirrors = [hall.mirrors.mirrors[record.id].copy for hall in halls if hall is not None]
        return [set(copy.origins) for copy in (master.master.copy, *mirrors)]

    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.filled("q", 1, node="n1")
        await stage.filled("q", 1, node="n2")
        assert len(origins(world)[0]) == 2
        world.kill("n2")
        world.start("n2")
        await world.ready()
        await stage.filled("q", 1, node="n2")
        await until(lambda: world.synchronised("q"), 20)
        await until(lambda: [len(known) for known in origins(world)] == [2, 2, 2], 20)
        assert len(set(map(frozenset, origins(world)))) == 1

    simulate(1, story, policies=[policy(HA_ALL)])


@pytest.mark.slow
@pytest.mark.parametrize("at", ["n2", "n3"])
def test_what_a_consumer_of_a_quorum_queue_held_has_come_back(at: str) -> None:
    """Whether its node has the next master or not: with a limit of two the third death ends it, and not the second."""

    async def story(world: World) -> None:
        stage = Stage(world)
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 2}
        await stage.filled("q", 2, arguments=arguments)
        client = await stage.client(at)
        counts: list[object] = []

        def take(event: Delivered) -> None:
            counts.extend(headers_of(content).get("x-delivery-count") for content in event.contents)

        client.on_deliver = take
        await client.consume("q", 0)
        await client.wait_for(lambda: len(counts) == 2)
        for deaths in (1, 2):
            await until(lambda: world.synchronised("q"), 20)
            master = world.queue("q").master.node
            if master == at:
                break
            world.kill(master)
            await client.wait_for(lambda deaths=deaths: len(counts) == 2 + 2 * deaths)
            world.start(master)
            await world.ready()
            assert counts[-2:] == [deaths, deaths]

    simulate(1, story)
