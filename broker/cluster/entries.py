"""What a member of the cluster writes down: log entries, snapshots, and the orders to its disk.

Decides the records that the consensus machine and the disk under it exchange, and what must be true of them at start
(ZAB, invariants at start-up). It must not know bytes on disk, files or fsync. A zxid is `epoch << 32 | counter`; the
first entry of each epoch is its marker (counter 0), so the epoch of the last marker in a log is that log's epoch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MARKER = 1
"""First entry of an epoch; its payload is a `Roll`. Who holds it has the leader's history up to it."""
ROLL = 2
"""The list of members changes; payload is a `Roll`."""
TRANSACTION = 3
"""Anything that the state machine above applies; the payload is opaque here."""

SLOTS = 64
"""So many folders can have belonged to members in turn before a slot is given out again."""
COUNTER_BITS = 32
COUNTER_MAX = (1 << COUNTER_BITS) - 1


def zxid_of(epoch: int, counter: int) -> int:
    """The transaction id of the given epoch and counter."""
    return epoch << COUNTER_BITS | counter


def epoch_of(zxid: int) -> int:
    """The epoch in which the transaction was proposed."""
    return zxid >> COUNTER_BITS


def counter_of(zxid: int) -> int:
    """The place of the transaction in its epoch; 0 is the marker."""
    return zxid & COUNTER_MAX


def may_follow(last: int, zxid: int) -> bool:
    """Whether an entry `zxid` can stand right behind the entry `last`: the next one, or the marker of a later epoch."""
    return zxid == last + 1 if epoch_of(zxid) == epoch_of(last) else zxid > last and counter_of(zxid) == 0


class DamagedLog(Exception):
    """What the disk gave back cannot be the work of this machine; such a member must not take part."""


Views = dict[int, tuple[str, ...]]
"""By epoch the names of the view that it began with."""


class Entry(NamedTuple):
    """One entry of the log; `kind` is MARKER, ROLL or TRANSACTION."""

    zxid: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Roll:
    """Who is a member: name -> folder id. A member whose folder is another one has lost its memory and has no vote.

    `cluster` is given once, at the founding; `leader` is the member that proposed the entry. With a `view` (name ->
    life) all of these have to agree; without one, a majority of the members. `slots` are numbers by folder that
    no two members share, not even one after the other: an epoch of a view is led by the member whose slot it has
    (`epoch % SLOTS`). One that lost its memory gets another slot, for it does not know what it has led.
    """

    cluster: str
    leader: str
    members: dict[str, str]
    view: dict[str, int] | None = None
    slots: dict[str, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The payload of a MARKER or ROLL entry."""
        return json.dumps(self.fields()).encode()

    def fields(self) -> dict[str, Any]:
        """As JSON has it; what is not there is not written."""
        found: dict[str, Any] = {"cluster": self.cluster, "leader": self.leader, "members": self.members}
        if self.view is not None:
            found["view"] = self.view
        if self.slots:
            found["slots"] = self.slots
        return found

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Roll":
        """Raises KeyError, TypeError, ValueError."""
        view = found.get("view")
        return cls(
            str(found["cluster"]),
            str(found["leader"]),
            dict(found["members"]),
            None if view is None else {name: int(life) for name, life in view.items()},
            {folder: int(slot) for folder, slot in found.get("slots", {}).items()},
        )

    @classmethod
    def decode(cls, payload: bytes) -> "Roll":
        """Raises DamagedLog if these bytes are no roll."""
        try:
            return cls.of(json.loads(payload))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedLog(f"not a list of members: {payload[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after `zxid`, with what the log below it said: (epoch, last zxid in it) per epoch, the roll, and the
    names of the view with which an epoch began, where it had one."""

    zxid: int
    epochs: tuple[tuple[int, int], ...]
    roll: Roll
    state: bytes
    views: Views = field(default_factory=dict)


@dataclass(slots=True)
class DurableState:
    """What a member finds on its disk at start; all empty on a blank one."""

    accepted_epoch: int = 0
    committed: int = 0
    snapshot: Snapshot | None = None
    entries: list[Entry] = field(default_factory=list)
    accepted_view: dict[str, int] | None = None

    def check(self) -> None:
        """Raises DamagedLog unless the entries follow one another and no epoch is above the accepted one."""
        last = self.snapshot.zxid if self.snapshot else 0
        for entry in self.entries:
            if not may_follow(last, entry.zxid):
                raise DamagedLog(f"entry {entry.zxid:#x} cannot follow {last:#x}")
            if (counter_of(entry.zxid) == 0) is not (entry.kind == MARKER):
                raise DamagedLog(f"entry {entry.zxid:#x} is of kind {entry.kind}")
            last = entry.zxid
        if epoch_of(last) > self.accepted_epoch:
            raise DamagedLog(f"the log ends in epoch {epoch_of(last)}, accepted is only {self.accepted_epoch}")


# Orders to the disk, to be carried out one after the other. A crash may fall between any two of them.


@dataclass(frozen=True, slots=True)
class Accept:
    """Remember `epoch` as the highest one accepted, and the view that it is to have, if it is one of a view."""

    epoch: int
    view: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """Add entries behind the last one."""

    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Truncate:
    """Forget every entry above `zxid`."""

    zxid: int


@dataclass(frozen=True, slots=True)
class Install:
    """The snapshot replaces snapshot and log, in one step that a crash cannot halve."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Compact:
    """The snapshot replaces the older one and the entries up to its zxid; those above stay."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything up to `zxid` is committed. May be lost in a crash: it only spares the restart some waiting."""

    zxid: int


LogOp = Accept | Append | Truncate | Install | Compact | Commit
