"""A network made of dice: TCP as `broker.world.network` promises it, in virtual time and from one seed.

Bytes of a connection arrive in order, late, and cut anywhere. Hosts can be cut from each other (also one way; what is
said meanwhile arrives after healing, as TCP sends again), made slow to hear each other, killed (their connections
break, their ports refuse) and frozen (their kernel still accepts connections and bytes, but nobody reads or answers).
"""

import errno
from collections import deque
from random import Random

import trio

from broker.world.network import Listener, Network, Refused, Stream, Unreachable, join_endpoint, split_endpoint
from tests.simulation.pipe import Pipe
from tests.simulation.virtual_time import Bell, pause

TURN_SHARE = 0.25
"""Of all sends; the others cost no turn of the loop."""


class SimNetwork:
    """All hosts and the wires between them."""

    def __init__(
        self, chance: Random, *, delay_s: tuple[float, float] = (0.0001, 0.001), capacity_bytes: int = 256 * 1024
    ) -> None:
        """`delay_s` is the least and the longest time on the wire; `capacity_bytes` what a connection holds one way."""
        self.chance = chance
        self.delay_s = delay_s
        self.capacity_bytes = capacity_bytes
        self.listeners: dict[str, SimListener] = {}
        self.owners: dict[str, str] = {}
        self.pipes: list[Pipe] = []
        self._hosts: dict[str, SimHost] = {}
        self.partitions = 0
        """How often the network was whole and was cut then."""
        self._cuts: set[tuple[str, str]] = set()
        self._slow_s: dict[tuple[str, str], float] = {}
        self.frozen: set[str] = set()
        self._next_port = 40000
        self.changed = Bell()

    def host(self, name: str) -> "SimHost":
        """The network as one process on host `name` sees it; a new one after each kill."""
        self._hosts[name] = SimHost(self, name)
        return self._hosts[name]

    def cut(self, a: str, b: str, *, one_way: bool = False) -> None:
        """Hold back what a says to b, and what b says to a unless one way."""
        self.partitions += not self._cuts
        self._cuts.add((a, b))
        if not one_way:
            self._cuts.add((b, a))
        now = trio.current_time()
        for pipe in self.pipes:
            if self.is_cut(pipe.source, pipe.target):
                pipe.hold(now)
        self._ring()

    def slow(self, a: str, b: str, delay_s: float) -> None:
        """From now on let what they say to each other take so much longer."""
        self._slow_s[a, b] = self._slow_s[b, a] = delay_s

    def sever(self, a: str, b: str) -> None:
        """Break every connection between the two, at both ends; new ones can be made."""
        for pipe in list(self.pipes):
            if {pipe.source, pipe.target} == {a, b}:
                pipe.abort(killed=pipe.source)

    def heal(self) -> None:
        """Mend every cut and hurry every slow link; what was held back arrives."""
        self._cuts.clear()
        self._slow_s.clear()
        self._ring()

    def kill(self, name: str) -> None:
        """End the process on a host: its connections break, its ports refuse. The caller cancels its tasks.

        Until then they hang in whatever they ask of the network: the dead do not learn that they are.
        """
        host = self._hosts.pop(name, None)
        if host is None:
            return
        host.alive = False
        for address in [address for address, listener in self.listeners.items() if listener.host is host]:
            self.listeners[address].close_now()
        for pipe in list(self.pipes):
            if name in (pipe.source, pipe.target):
                pipe.abort(killed=name)
        self.thaw(name)

    def freeze(self, name: str) -> None:
        """Stop a host's process: it neither reads nor sends nor answers."""
        self.frozen.add(name)
        self._ring()

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self.frozen.discard(name)
        self._ring()

    def is_cut(self, source: str, target: str) -> bool:
        """Whether what source says does not reach target."""
        return (source, target) in self._cuts

    def delay(self, source: str = "", target: str = "") -> float:
        """A time on the wire."""
        return self.chance.uniform(*self.delay_s) + self._slow_s.get((source, target), 0.0)

    def free_address(self, host: str) -> str:
        """An address that nobody had."""
        self._next_port += 1
        return join_endpoint(host, self._next_port)

    def _ring(self) -> None:
        for pipe in self.pipes:
            pipe.reschedule()
            pipe.arrivals.ring()
            pipe.room.ring()
        self.changed.ring()


class SimHost(Network):
    """One process's door to the network."""

    def __init__(self, network: SimNetwork, name: str) -> None:
        self.network = network
        self.name = name
        self.alive = True

    async def listen(self, address: str) -> Listener:
        """See `Network.listen`. Any host name will do: an address belongs to the host that listens there."""
        await trio.lowlevel.checkpoint()
        network = self.network
        host, port = split_endpoint(address)
        if port == 0:
            address = network.free_address(host)
        if address in network.listeners:
            raise OSError(errno.EADDRINUSE, "address in use", address)
        network.owners[address] = self.name
        network.listeners[address] = SimListener(self, address)
        return network.listeners[address]

    async def dial(self, address: str, timeout_s: float) -> Stream:
        """See `Network.dial`."""
        network = self.network
        with trio.move_on_after(timeout_s):
            await pause(network.delay() + network.delay())
            owner = network.owners.get(address, self.name)
            while self.cut_off(owner):
                await network.changed.wait()
            await self.go_on()
            listener = network.listeners.get(address)
            if listener is None:
                raise Refused(f"{address}: connection refused")
            forth, back = Pipe(network, self.name, owner), Pipe(network, owner, self.name)
            stream = SimStream(self, back, forth, address)
            listener.offer(SimStream(listener.host, forth, back, join_endpoint(self.name, 0)))
            return stream
        raise Unreachable(f"{address}: no answer within {timeout_s:g} s")

    async def go_on(self) -> None:
        """Whoever was killed does not come back from a call."""
        if not self.alive:
            await trio.sleep_forever()

    def cut_off(self, other: str) -> bool:
        """Whether a connection to another host cannot come about now."""
        network = self.network
        return self.name in network.frozen or network.is_cut(self.name, other) or network.is_cut(other, self.name)


class SimListener(Listener):
    """An open port of a host."""

    def __init__(self, host: SimHost, address: str) -> None:
        self.host = host
        self.address = address
        self._waiting: deque[SimStream] = deque()
        self._open = True
        self._bell = Bell()

    def offer(self, stream: "SimStream") -> None:
        """The kernel has taken a connection."""
        self._waiting.append(stream)
        self._bell.ring()

    async def accept(self) -> Stream:
        """See `Listener.accept`."""
        await trio.lowlevel.checkpoint()
        network = self.host.network
        while self._open:
            if self.host.name in network.frozen:
                await network.changed.wait()
            elif self._waiting:
                return self._waiting.popleft()
            else:
                await self._bell.wait()
        await self.host.go_on()
        raise trio.ClosedResourceError("this listener was closed here")

    def close_now(self) -> None:
        """See `Listener.close_now`. Connections that nobody has accepted are reset."""
        if self._open:
            self._open = False
            self.host.network.listeners.pop(self.address, None)
            for stream in self._waiting:
                stream.close_now()
            self._waiting.clear()
            self._bell.ring()


class SimStream(Stream):
    """One end of a connection."""

    def __init__(self, host: SimHost, incoming: Pipe, outgoing: Pipe, peer_address: str) -> None:
        self.peer_address = peer_address
        self._host = host
        self._incoming = incoming
        self._outgoing = outgoing
        self._open = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `Stream.receive_some`."""
        if self._incoming.has_arrived():
            await trio.lowlevel.checkpoint()
        await self._check()
        try:
            return await self._incoming.take(65536 if max_bytes is None else max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._host.go_on()
            raise

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send every byte, as there is room. What is taken at once is at times taken before anybody else can go on."""
        network = self._host.network
        left = bytes(data)
        if not left or network.chance.random() < TURN_SHARE:
            await trio.lowlevel.checkpoint()
        while left:
            await self.wait_send_all_might_not_block()
            room = self._outgoing.room_bytes()
            self._outgoing.put(left[:room])
            left = left[room:]

    def send_now(self, data: bytes | bytearray | memoryview) -> int:
        """See `TcpStream.send_now`."""
        network, host = self._host.network, self._host
        if not self._open or not host.alive or host.name in network.frozen:
            return 0
        try:
            taken = bytes(data[: max(self._outgoing.room_bytes(), 0)])
        except trio.BrokenResourceError:
            return 0
        if taken:
            self._outgoing.put(taken)
        return len(taken)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room, and until the host is not frozen."""
        await self._check()
        while self._host.name in self._host.network.frozen or self._outgoing.room_bytes() <= 0:
            await self._outgoing.room.wait()
            await self._check()

    def close_now(self) -> None:
        """See `Stream.close_now`."""
        if self._open:
            self._open = False
            self._outgoing.finish(b"")
            self._incoming.leave()

    async def _check(self) -> None:
        await self._host.go_on()
        if not self._open:
            raise trio.ClosedResourceError("this stream was closed here")
