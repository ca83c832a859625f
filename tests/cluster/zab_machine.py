"""One agreement machine with its disk: fed with events, looked at by judges, and compared by what it is.

Decides in which order what is due is done, and what two machines have to differ in to be two. It must not know which
events can happen.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from broker.cluster.entries import TRANSACTION, Entry, LogOp
from broker.cluster.leading import Leading
from broker.cluster.zab import Zab
from tests.simulation.zab_disk import Disk

NAMES = ("n1", "n2", "n3")

Event = tuple[Any, ...]
"""("message", sender, bytes), ("up", name, life), ("down", name, life, proven), ("disk",), ("propose", payload),
("tick",), ("start",), ("die",)."""
Applied = tuple[tuple[int, bytes], ...]


@dataclass
class Machine:
    """One member with its disk; `zab` is None while it is down."""

    name: str
    life: int = 0
    zab: Zab | None = None
    disk: Disk = field(default_factory=Disk)
    applied: Applied = ()

    def start(self, make: Callable[..., Zab], now: float) -> None:
        self.life += 1
        durable = self.disk.copy()
        durable.check()  # what a crash left is a log that this machine may start from
        self.applied = ()
        self.zab = make(self.name, f"folder of {self.name}", NAMES, durable, now=now, life=self.life)

    def feed(self, event: Event, now: float) -> None:
        assert self.zab
        match event:
            case ("message", sender, data):
                self.zab.receive(sender, data, now)
            case ("up", name, life):
                self.zab.peer_up(name, life, now)
            case ("down", name, life, proven):
                self.zab.peer_down(name, life, proven, now)
            case ("propose", payload):
                self.zab.propose(payload)
            case ("tick",):
                self.zab.tick(now)

    def write(self, now: float) -> list[tuple[str, bytes]] | None:
        """What is due on the disk, all of it, and what follows from it; None if nothing is."""
        zab = self.zab
        assert zab
        ready = zab.take_ready()
        if not ready:
            return None
        for op in ready.log:
            self.disk.carry_out(op)
        zab.persisted(now)
        self._apply(zab, ready.committed, now)
        return ready.messages

    def _apply(self, zab: Zab, committed: list[Entry], now: float) -> None:
        if committed:
            self.applied += tuple((entry.zxid, entry.payload) for entry in committed if entry.kind == TRANSACTION)
            zab.applied(committed[-1].zxid, hash(self.applied) & 0xFFFF, now)

    def hush(self) -> None:
        """No heartbeat follows another at once: leases are not looked at here, and there would be no end of it."""
        role = self.zab._role if self.zab else None
        if isinstance(role, Leading):
            role._beats.hurry = 0

    def due(self) -> list[LogOp]:
        """The orders to the disk that a death may interrupt."""
        assert self.zab
        return self.zab.take_ready().log


class Look(NamedTuple):
    """What the judges see of one machine."""

    up: bool
    life: int
    deadline: float
    """When it wants to look at the clock."""
    leads: int
    """The epoch it is established in as leader; 0 otherwise."""
    log: frozenset[tuple[int, bytes]]
    on_disk: frozenset[tuple[int, bytes]]
    applied: Applied


def look_at(machine: Machine) -> Look:
    zab = machine.zab
    log = zab._member.history.entries if zab else []
    return Look(
        zab is not None,
        machine.life,
        zab.deadline() if zab else float("inf"),
        zab.epoch if zab and zab.leading else 0,
        frozenset((entry.zxid, entry.payload) for entry in log),
        frozenset((entry.zxid, entry.payload) for entry in machine.disk.state.entries),
        machine.applied,
    )


def frozen(value: Any) -> Any:
    """What a value is, as something that can be compared: what is only for people left out."""
    match value:
        case None | bool() | int() | float() | str() | bytes() | frozenset():
            return value
        case dict():
            return ("dict", *sorted(((frozen(key), frozen(held)) for key, held in value.items()), key=repr))
        case set():
            return frozenset(map(frozen, value))
        case list() | tuple() | deque() | bytearray():
            return tuple(map(frozen, value))
    fields = dict(getattr(value, "__dict__", {}))
    for each in type(value).__mro__:
        fields |= {name: getattr(value, name) for name in getattr(each, "__slots__", ()) if hasattr(value, name)}
    fields.pop("last_move", None)
    return (type(value).__name__, *((name, frozen(fields[name])) for name in sorted(fields)))
