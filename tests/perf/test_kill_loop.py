"""A real node, killed again and again under load: what it confirmed is there afterwards, once, in order, and what was
acknowledged for certain is not.

An acknowledgement has no answer of its own; it is certain once a publish that was sent behind it on the same channel is
confirmed: the broker keeps one log. Whatever else is told here, AMQP itself promises.
"""

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
import trio

from broker.perf.blocks import CHANNEL
from broker.perf.client import Client, Closed, Target
from broker.perf.confirms import Confirms
from broker.perf.numbered import NumberedBlock
from broker.wire.basic_methods import BasicAck, BasicConsume, ConfirmSelect
from broker.wire.content import body_of
from broker.wire.events import Acks, Delivered
from broker.wire.methods import QueueDeclare, QueueDeclareOk

ROOT = Path(__file__).resolve().parent.parent.parent
UP_TIMEOUT_S = 20
UNCONFIRMED_MAX = 300
KEPT_EVERY = 7
"""So many messages share one that is never acknowledged: each life leaves some to the next."""
QUEUES = {"small": 40, "middle": 1000, "large": 30_000}

# Loaded by the node's process: the disk is slow, and nobody waits for it.
HASTY_CONFIRMS = """
import trio
from broker.mirroring.witnesses import Witnesses
from broker.world import disk
class Slow:
    def __init__(self, file):
        self._file = file
    def __getattr__(self, name):
        return getattr(self._file, name)
    async def append(self, chunks, *, sync):
        await trio.sleep(0.1)
        await self._file.append(chunks, sync=sync)
open_append, safe = disk.RealDisk.open_append, Witnesses.safe
async def open_slowly(self, name, **options):
    file = await open_append(self, name, **options)
    return Slow(file) if name.startswith("journal/") else file
disk.RealDisk.open_append = open_slowly
Witnesses.safe = lambda self, _: safe(self, 1 << 62)
Witnesses.reached = lambda self, _: True
"""


class Ledger:
    """What a client knows of one queue. Numbers grow in the order of publishing."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.published = 0
        self.confirmed: set[int] = set()
        self.delivered: set[int] = set()
        self.acknowledged: set[int] = set()
        self.settled: set[int] = set()
        self.faults: list[str] = []

    def deliver(self, number: int, behind: int, *, redelivered: bool) -> None:
        """It came, and `behind` before it in this life."""
        if number <= behind:
            self.faults.append(f"{number} came behind {behind}")
        if number in self.delivered and not redelivered:
            self.faults.append(f"{number} came a second time and is not flagged")
        if number in self.settled:
            self.faults.append(f"{number} came back, though it was acknowledged for certain")
        if not 0 < number <= self.published:
            self.faults.append(f"{number} was never published")
        self.delivered.add(number)

    @property
    def owed(self) -> set[int]:
        """What must be in the queue."""
        return self.confirmed - self.acknowledged


class Life:
    """One connection to one life of the node, with a publisher and a consumer on the same channel."""

    def __init__(self, client: Client, ledger: Ledger, chance: Random) -> None:
        self._client = client
        self._ledger = ledger
        self._chance = chance
        self._before = ledger.published
        self._confirms = Confirms()
        self._room = trio.Event()
        self._mouth = trio.Lock()
        self._acknowledged: list[int] = []
        self._sent: deque[tuple[int, int]] = deque()  # (last tag, acknowledgements that were sent before it)
        self._behind = 0

    async def run(self) -> None:
        """Publish, consume and acknowledge until the node dies."""
        try:
            await self._client.call(ConfirmSelect(), CHANNEL)
            await self._client.call(BasicConsume(queue=self._ledger.name, consumer_tag="c"), CHANNEL)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._publish)
                while True:
                    for _, event in await self._client.receive():
                        if isinstance(event, Acks):
                            self._confirmed(event)
                        elif isinstance(event, Delivered):
                            await self._acknowledge(self._delivered(event))
        except* Closed:
            self._client.close_now()

    async def _publish(self) -> None:
        ledger, first = self._ledger, self._before + 1
        block = NumberedBlock(ledger.name, ledger.size, self._client.frame_max, persistent=True, first=first)
        while True:
            while ledger.published - self._before - self._confirms.answered > UNCONFIRMED_MAX:
                self._room = trio.Event()
                await self._room.wait()
            async with self._mouth:
                data, count = block.take(self._chance.randint(1, 50), 0)
                ledger.published += count
                self._sent.append((ledger.published - self._before, len(self._acknowledged)))
                await self._client.send(data)
            await trio.sleep(self._chance.random() * 0.02 if self._chance.random() < 0.2 else 0)

    def _confirmed(self, event: Acks) -> None:
        ledger, certain = self._ledger, 0
        for start, stop in self._confirms.answer(event.first_tag, event.last_tag, multiple=event.multiple):
            ledger.confirmed.update(range(self._before + start, self._before + stop + 1))
        while self._sent and self._sent[0][0] <= self._confirms.upto:
            certain = self._sent.popleft()[1]
        ledger.settled.update(self._acknowledged[:certain])
        self._room.set()

    def _delivered(self, event: Delivered) -> dict[int, int]:
        """What is acknowledged of it: tag -> number."""
        answers = {}
        for tag, content in enumerate(event.contents, event.first_tag):
            number = int.from_bytes(body_of(content)[:8])
            self._ledger.deliver(number, self._behind, redelivered=event.redelivered)
            self._behind = number
            if number % KEPT_EVERY:
                answers[tag] = number
        return answers

    async def _acknowledge(self, answers: dict[int, int]) -> None:
        async with self._mouth:
            self._ledger.acknowledged.update(answers.values())
            self._acknowledged += answers.values()
            await self._client.send(b"".join(BasicAck(delivery_tag=tag).frame(CHANNEL) for tag in answers))


class KilledNode:
    """A cluster of one node in a folder, on a port of its own."""

    def __init__(self, folder: Path, sabotage: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.target = Target(f"127.0.0.1:{port}")
        self._folder = folder
        (folder / "sitecustomize.py").write_text(sabotage)
        doors = f'amqp: "127.0.0.1:{port}", http: "127.0.0.1:0", link: "127.0.0.1:0"'
        (folder / "cluster.yaml").write_text(f"cluster: {{name: killed, cookie: c}}\nnodes: [{{name: n1, {doors}}}]\n")

    @contextmanager
    def life(self) -> Iterator[Callable[[], None]]:
        """From the start of the process to its SIGKILL, which may be given before."""
        environment = {**os.environ, "PYTHONPATH": f"{self._folder}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "broker", "node", "n1", "--config", "cluster.yaml"]
        with (
            (self._folder / "log").open("a") as log,
            subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log) as process,
        ):
            try:
                yield process.kill
            finally:
                process.kill()

    async def connect(self) -> Client:
        """A connection, as soon as there can be one."""
        with trio.fail_after(UP_TIMEOUT_S):
            while True:
                try:
                    return await Client.open(self.target)
                except Closed:
                    await trio.sleep(0.02)


async def live(node: KilledNode, ledgers: list[Ledger], chance: Random) -> None:
    """One life under load, ended at some moment."""
    with node.life() as kill:
        clients = [await node.connect() for _ in ledgers]
        for client, ledger in zip(clients, ledgers, strict=True):
            await client.call(QueueDeclare(queue=ledger.name, durable=True), CHANNEL)
        async with trio.open_nursery() as nursery:
            for client, ledger in zip(clients, ledgers, strict=True):
                nursery.start_soon(Life(client, ledger, chance).run)
            await trio.sleep(chance.uniform(0.1, 1.2))
            kill()


async def drain(node: KilledNode, ledger: Ledger) -> list[int]:
    """Everything that stands in the queue, by the order in which it comes; nothing is acknowledged."""
    found: list[int] = []
    async with await node.connect() as client:
        answer = await client.call(QueueDeclare(queue=ledger.name, passive=True), CHANNEL)
        assert isinstance(answer, QueueDeclareOk)
        await client.call(BasicConsume(queue=ledger.name, consumer_tag="c"), CHANNEL)
        with trio.move_on_after(UP_TIMEOUT_S):
            while len(found) < answer.message_count:
                for _, event in await client.receive():
                    assert isinstance(event, Delivered)
                    for content in event.contents:
                        number = int.from_bytes(body_of(content)[:8])
                        ledger.deliver(number, found[-1] if found else 0, redelivered=event.redelivered)
                        found.append(number)
        assert len(found) == answer.message_count
    return found


async def kill_again_and_again(node: KilledNode, lives: int, seed: int) -> tuple[list[int], list[str]]:
    """What was lost, and what else was wrong, in all queues; asserts that something was at stake."""
    chance, ledgers = Random(seed), [Ledger(name, size) for name, size in QUEUES.items()]
    for _ in range(lives):
        await live(node, ledgers, chance)
    lost: list[int] = []
    with node.life():
        for ledger in ledgers:
            found = await drain(node, ledger)
            lost += sorted(ledger.owed - set(found))
            assert min(len(ledger.confirmed), len(ledger.settled)) > 100 * lives, ledger.name
            assert len(ledger.owed) > 10 * lives, ledger.name
    assert any(ledger.published > len(ledger.confirmed) for ledger in ledgers)
    return lost, [fault for ledger in ledgers for fault in ledger.faults]


@pytest.mark.slow
async def test_a_node_that_is_killed_again_and_again_keeps_its_word(tmp_path: Path) -> None:
    assert await kill_again_and_again(KilledNode(tmp_path), 10, 1) == ([], [])


@pytest.mark.slow
async def test_a_node_that_does_not_wait_for_its_disk_is_seen_to_lose_and_to_forget(tmp_path: Path) -> None:
    lost: list[int] = []
    faults: list[str] = []
    for seed in range(3, 9):  # on a busy machine the disk may be the quicker one for a while
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = await kill_again_and_again(KilledNode(folder, HASTY_CONFIRMS), 2, seed)
        lost += found[0]
        faults += found[1]
        if lost and any("came back" in fault for fault in faults):
            return
    pytest.fail(f"nothing was seen: {len(lost)} lost, {faults[:3]}")
