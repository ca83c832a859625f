"""A cluster of agreement machines on a virtual clock: links with dice, disks that crash between two writes.

No trio, no bytes on a disk: events in a heap, everything from one seed. `zab_judges` watches.
"""

import heapq
import itertools
from collections.abc import Callable
from random import Random
from zlib import crc32

from broker.cluster.entries import TRANSACTION, Accept, Install, Truncate
from broker.cluster.member import Yields
from broker.cluster.partitions import MAJORITY, QuorumRule
from broker.cluster.zab import NotLeading, Ready, Zab
from tests.simulation.zab_disk import Disk, applied_of, state_of
from tests.simulation.zab_judges import Broken, Judges

NET_TICKTIME = 5.0
COMPACT_AT = 12


class Node:
    """One member: machine, disk, applied state. `zab` is None while it is down."""

    def __init__(self, name: str, folder: str) -> None:
        self.name, self.folder = name, folder
        self.disk = Disk()
        self.life = 0
        self.zab: Zab | None = None
        self.applied: list[tuple[int, bytes]] = []
        self.busy = False
        self.frozen = False
        self.writes = 0
        self.crash_at_write = 0
        self.held: list[Callable[[], None]] = []
        self.only_epoch: int | None = None

    @property
    def digest(self) -> int:
        return digest_of(self.applied)


def digest_of(applied: list[tuple[int, bytes]]) -> int:
    return crc32(b"".join(zxid.to_bytes(8, "big") + payload for zxid, payload in applied[-3:]))


class World:
    """The cluster. `run(seconds)` lets virtual time pass; faults are methods."""

    def __init__(self, seed: int, size: int = 3, rule: QuorumRule = MAJORITY, **rules: bool) -> None:
        self.chance = Random(seed)
        self.now = 0.0
        self.nodes = {f"n{i}": Node(f"n{i}", f"folder-{i}") for i in range(1, size + 1)}
        self.rule = rule
        self.judges = Judges()
        self.yielded: list[tuple[str, str, int]] = []
        """Who, to which leader, in which epoch."""
        self.ack_before_disk = rules.pop("ack_before_disk", False)
        self.machine: Callable[..., Zab] = Zab
        self.disk_s = 0.001
        self.delay_s = 0.002
        self.messages = 0
        self.resets = False
        """Whether what a frozen member has not read yet is lost when the connection breaks."""
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._cut: set[tuple[str, str]] = set()
        self._clear_at: dict[tuple[str, str], float] = {}
        self._generation: dict[tuple[str, str], int] = {}
        self._ticking: dict[str, float] = {}
        self._payloads = itertools.count(1)

    # Faults.

    def start(self, name: str, *, forced: bool = False) -> None:
        node = self.nodes[name]
        node.life += 1
        node.busy = node.frozen = False
        durable = node.disk.copy()
        durable.check()  # B9.10: at every crash point
        node.applied = applied_of(durable.snapshot.state) if durable.snapshot else []
        node.zab = self.machine(
            name,
            node.folder,
            sorted(self.nodes),
            durable,
            now=self.now,
            life=node.life,
            net_ticktime=NET_TICKTIME,
            rule=self.rule,
            forced=forced,
            only_epoch=node.only_epoch,
        )
        if durable.snapshot:
            node.zab.applied(durable.snapshot.zxid, node.digest, self.now)
        for other in self.nodes.values():
            if other is not node and other.zab:
                self._link(node, other)
                self._link(other, node)
        self._drain(node)

    def crash(self, name: str, *, proven: bool = True) -> None:
        node = self.nodes[name]
        life, node.zab, node.held = node.life, None, []
        for other in self.nodes.values():
            if other is not node:
                self._break(node.name, other.name)
                self._break(other.name, node.name)
                self.later(self.chance.uniform(0.001, 0.02), self._death_seen(other, name, life, proven))

    def wipe(self, name: str) -> None:
        node = self.nodes[name]
        node.disk, node.folder, node.applied = Disk(), f"{node.folder}*", []
        self.judges.forgets(name, node.life)

    def yield_to(self, name: str, leader: str, epoch: int) -> None:
        """Somebody commands it."""
        self._feed(self.nodes[name], lambda zab: zab.yield_to(leader, epoch))

    def _heal_history(self, node: Node, yields: Yields) -> None:
        """The life ends; the next one begins in the other history, with nothing but the highest epoch accepted."""
        self.yielded.append((node.name, yields.leader, yields.epoch))
        self.crash(node.name)
        accepted = node.disk.state.accepted_epoch
        node.disk, node.applied = Disk(), []
        node.disk.carry_out(Accept(accepted))
        self.judges.forgets(node.name, node.life)
        node.only_epoch = yields.epoch
        life = node.life
        self.later(0.05, lambda: self.start(node.name) if node.life == life and node.zab is None else None)

    def cut(self, left: str, right: str) -> None:
        """What left says to right is lost, silently."""
        self._cut.add((left, right))

    def heal(self) -> None:
        self._cut.clear()

    def break_link(self, left: str, right: str) -> None:
        """The connection breaks (its suffix is lost) and comes again."""
        a, b = self.nodes[left], self.nodes[right]
        if not (a.zab and b.zab):
            return
        self._break(left, right)
        life = b.life
        self._feed(a, lambda zab: zab.peer_down(right, life, False, self.now))
        self.later(self.chance.uniform(0.0, 0.3), lambda: a.zab and b.zab and self._link(a, b))

    def freeze(self, name: str) -> None:
        self.nodes[name].frozen = True

    def thaw(self, name: str) -> None:
        node = self.nodes[name]
        node.frozen = False
        held, node.held = node.held, []
        for event in held:
            event()

    # Time.

    def later(self, delay: float, event: Callable[[], object]) -> None:
        heapq.heappush(self._heap, (self.now + delay, next(self._count), event))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._heap and self._heap[0][0] <= until:
            self.now, _, event = heapq.heappop(self._heap)
            event()
        self.now = until

    def run_until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Lets time pass until it is so; returns how long it took. Fails after so many seconds."""
        began = self.now
        while not condition():
            if not self._heap or self.now - began > seconds:
                raise Broken(f"progress: not within {seconds} s")
            self.now, _, event = heapq.heappop(self._heap)
            event()
        return self.now - began

    # Clients.

    @property
    def leader(self) -> str | None:
        """The established leader of the highest epoch."""
        leaders = [(node.zab.epoch, node.name) for node in self.nodes.values() if node.zab and node.zab.leading]
        return max(leaders)[1] if leaders else None

    def propose(self, name: str) -> bool:
        node = self.nodes[name]
        if node.zab is None or node.frozen:
            return False
        payload = b"%d by %s" % (next(self._payloads), name.encode())
        try:
            zxid = node.zab.propose(payload)
        except NotLeading:
            self._drain(node)
            return False
        self.judges.proposed(zxid, payload)
        self._drain(node)
        return True

    def serving(self) -> list[str]:
        return [n.name for n in self.nodes.values() if n.zab and not n.frozen and n.zab.has_quorum(self.now)]

    def settled(self) -> bool:
        """Everybody serves and has applied the same."""
        return len(self.serving()) == len(self.nodes) and len({n.digest for n in self.nodes.values()}) == 1

    # The shell around a machine.

    def _link(self, node: Node, other: Node) -> None:
        life = other.life

        def up() -> None:
            if other.zab and other.life == life:
                self._feed(node, lambda zab: zab.peer_up(other.name, life, self.now))

        self.later(self.chance.uniform(0.0, 0.003), up)

    def _break(self, left: str, right: str) -> None:
        self._generation[left, right] = self._generation.get((left, right), 0) + 1

    def _death_seen(self, other: Node, name: str, life: int, proven: bool) -> Callable[[], None]:
        return lambda: self._feed(other, lambda zab: zab.peer_down(name, life, proven, self.now))

    def _feed(self, node: Node, feed: Callable[[Zab], None]) -> None:
        if node.zab is None:
            return
        if node.frozen:
            node.held.append(lambda: self._feed(node, feed))
            return
        try:
            feed(node.zab)
        except Yields as yields:
            self._heal_history(node, yields)
            return
        self._drain(node)

    def _drain(self, node: Node) -> None:
        zab = node.zab
        assert zab
        self.judges.look(node.name, zab, self.now)
        if zab.leading and zab.view:
            self.judges.look_at_view(node.name, zab, self.nodes)
        for other in self.nodes.values():
            if other is not node and other.zab:
                self.judges.look_at_verdict(node.name, zab, other.name, other.life, other.zab.lease_until, self.now)
        self._send(node, zab.take_urgent())
        if not node.busy:
            ready = zab.take_ready()
            if ready:
                node.busy = True
                self._persist(node, node.life, ready, 0)
        deadline = zab.deadline()
        if self._ticking.get(node.name) != deadline:
            self._ticking[node.name] = deadline
            self.later(max(deadline - self.now, 0.0), self._tick(node, node.life, deadline))

    def _tick(self, node: Node, life: int, deadline: float) -> Callable[[], None]:
        def tick() -> None:
            if node.life == life and self._ticking.get(node.name) == deadline:
                self._ticking.pop(node.name)
                self._feed(node, lambda zab: zab.tick(self.now))

        return tick

    def _persist(self, node: Node, life: int, ready: Ready, done: int) -> None:
        """One order after the other, each after a pause, so that a crash may fall before, between and after them."""
        if node.life != life or node.zab is None:
            return
        if node.frozen:
            node.held.append(lambda: self._persist(node, life, ready, done))
            return
        if done == 0 and self.ack_before_disk:
            self._send(node, ready.messages)
        if done < len(ready.log):
            pause = self.chance.uniform(0.0, self.disk_s) if ready.sync else 0.0
            self.later(pause, lambda: self._carry_out(node, life, ready, done))
            return
        zab = node.zab
        zab.persisted(self.now)
        if not self.ack_before_disk:
            self._send(node, ready.messages)
        self._apply(node, zab, ready)
        node.busy = False
        self._drain(node)

    def _carry_out(self, node: Node, life: int, ready: Ready, done: int) -> None:
        if node.life == life and node.zab:
            before = node.disk.kept() if isinstance(ready.log[done], Truncate | Install) else set()
            node.disk.carry_out(ready.log[done])
            self.judges.gave_up(node.name, before - node.disk.kept() if before else before)
            node.writes += 1
            if node.writes == node.crash_at_write:
                self.crash(node.name)
            else:
                self._persist(node, life, ready, done + 1)

    def _apply(self, node: Node, zab: Zab, ready: Ready) -> None:
        if ready.restore:
            node.applied = applied_of(ready.restore.state)
        for entry in ready.committed:
            if entry.kind == TRANSACTION:
                node.applied.append((entry.zxid, entry.payload))
        last = ready.committed[-1].zxid if ready.committed else ready.restore.zxid if ready.restore else None
        if last is not None:
            self.judges.applied(node.name, node.applied)
            zab.applied(last, node.digest, self.now)
        if ready.snapshot_wanted or zab.log_length > COMPACT_AT:
            zab.snapshot(state_of(node.applied))

    def _send(self, node: Node, messages: list[tuple[str, bytes]]) -> None:
        for to, data in messages:
            self.messages += 1
            way = (node.name, to)
            if way in self._cut:
                continue
            # Links keep order: nothing overtakes what was sent before.
            at = max(self._clear_at.get(way, 0.0), self.now + self.chance.uniform(0.1, 1.0) * self.delay_s)
            self._clear_at[way] = at
            self.later(at - self.now, self._arrival(way, data, self.nodes[to].life))

    def _arrival(self, way: tuple[str, str], data: bytes, life: int) -> Callable[[], None]:
        generation = self._generation.get(way, 0)

        def arrive() -> None:
            node = self.nodes[way[1]]
            if node.frozen and self.resets:
                node.held.append(arrive)
            elif self._generation.get(way, 0) == generation and node.life == life:
                self._feed(node, lambda zab: zab.receive(way[0], data, self.now))

        return arrive
