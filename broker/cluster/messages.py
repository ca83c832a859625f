"""What members say to one another: records and their bytes.

Decides the wire format of the agreement protocol. It must not know when a message is sent or what follows from it.
Rare messages carry JSON, frequent ones fixed fields (network byte order). Links keep order and may lose a suffix.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.cluster.entries import Entry, Roll, Snapshot

LOOKING, FOLLOWING, LEADING = "looking", "following", "leading"
NO_STAMP = float("-inf")
"""In place of a stamp or an echo: none."""


class Malformed(Exception):
    """These bytes are no message of this protocol."""


@dataclass(slots=True)
class Status:
    """Where a member stands. Sent to everyone when it changes, and again and again while it is LOOKING.

    LEADING with its epoch is ZAB's LEADERINFO (NEWEPOCH). `choice` is the member voted for, or the leader that is
    followed. `heard` names the LOOKING members whose Status arrived: who is not named is not heard, and does not vote
    for one that is deaf to it. `seeds` are the names that the configuration of a blank member wants for a founding.
    `committed` and `epochs` tell its history: (epoch, last zxid in it, names of the view it began with), the newest.
    `view`: the one it leads or means to lead, or the last in its log; None where a majority decides. `needs`: whom it
    insists on if it leads the next view, `asks`: whom under its `choice`. `token` tells its life from another one with
    the same number.
    """

    state: str
    folder: str
    accepted_epoch: int
    last_epoch: int
    last_zxid: int
    epoch: int = 0
    established: bool = False
    choice: str = ""
    cluster: str = ""
    members: dict[str, str] = field(default_factory=dict)
    seeds: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    life: int = 0
    committed: int = 0
    epochs: list[tuple[int, int, list[str]]] = field(default_factory=list)
    view: dict[str, int] | None = None
    needs: list[str] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    token: str = ""


@dataclass(slots=True)
class Follow:
    """A member joins the leader of `epoch` (ACKEPOCH): sent once the epoch is on its disk.

    `counted`: it accepted the epoch from this very leader, so it counts for the discovery quorum. `epochs` is the
    shape of its log: (epoch, last zxid in it). `answered_ago`: so many seconds before it was sent the member last
    answered a heartbeat; it answers none of an older epoch after it. `over`: by name the newest life whose end it has
    proven.
    """

    epoch: int
    counted: bool
    folder: str
    cluster: str
    epochs: list[tuple[int, int]]
    answered_ago: float
    over: dict[str, int]
    life: int = 0
    token: str = ""


@dataclass(slots=True)
class Proposals:
    """Entries that follow `previous` in the leader's log: synchronisation (DIFF, TRUNC) and broadcast alike."""

    epoch: int
    previous: int
    entries: list[Entry]


@dataclass(slots=True)
class SnapshotPart:
    """A slice of an encoded snapshot (SNAP); slices come in order, `total` bytes in all."""

    epoch: int
    zxid: int
    offset: int
    total: int
    data: bytes


@dataclass(slots=True)
class Report:
    """A follower's marks: on its disk up to `durable`, applied up to `applied` with that digest of the state.

    With a `round` it answers that heartbeat. `stamp` is the follower's own clock, which the leader gives back.
    """

    epoch: int
    durable: int
    applied: int
    digest: int
    round: int
    stamp: float


@dataclass(slots=True)
class Marks:
    """The leader's marks: committed, stable (see there), and `sent`, the last entry sent.

    With a `round` it is a heartbeat. `echo` is the latest stamp of this follower after which a quorum still followed.
    """

    epoch: int
    committed: int
    stable: int
    sent: int
    round: int
    echo: float


@dataclass(slots=True)
class Alive:
    """A follower lets the others hear it: one of them may have to lead, and then know who has been silent."""


Message = Status | Follow | Proposals | SnapshotPart | Report | Marks | Alive

_PROPOSALS = struct.Struct("!BIQI")
_ENTRY = struct.Struct("!QBI")
_PART = struct.Struct("!BIQQQ")
_REPORT = struct.Struct("!BIQQQQd")
_MARKS = struct.Struct("!BIQQQQd")
_STATUS_KIND, _FOLLOW_KIND, _PROPOSALS_KIND, _PART_KIND, _REPORT_KIND, _MARKS_KIND, _ALIVE_KIND = range(1, 8)


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    match message:
        case Status():
            return bytes([_STATUS_KIND]) + _fields(message)
        case Follow():
            return bytes([_FOLLOW_KIND]) + _fields(message)
        case Proposals(epoch, previous, entries):
            parts = [_PROPOSALS.pack(_PROPOSALS_KIND, epoch, previous, len(entries))]
            for zxid, kind, payload in entries:
                parts += (_ENTRY.pack(zxid, kind, len(payload)), payload)
            return b"".join(parts)
        case SnapshotPart(epoch, zxid, offset, total, data):
            return _PART.pack(_PART_KIND, epoch, zxid, offset, total) + data
        case Report(epoch, durable, applied, digest, number, stamp):
            return _REPORT.pack(_REPORT_KIND, epoch, durable, applied, digest, number, stamp)
        case Marks(epoch, committed, stable, sent, number, echo):
            return _MARKS.pack(_MARKS_KIND, epoch, committed, stable, sent, number, echo)
        case Alive():
            return bytes([_ALIVE_KIND])


def _fields(message: Status | Follow) -> bytes:
    return json.dumps({name: getattr(message, name) for name in message.__slots__}).encode()


def decode(data: bytes) -> Message:
    """The message in these bytes; raises Malformed."""
    reader = _READERS.get(data[0]) if data else None
    if reader is None:
        raise Malformed(f"no message of the agreement protocol: {data[:16]!r}")
    try:
        return reader(data)
    except (ValueError, TypeError, KeyError, struct.error) as error:
        raise Malformed(f"broken message of kind {data[0]}: {error}") from error


def _read_status(data: bytes) -> Status:
    status = Status(**json.loads(data[1:]))
    status.epochs = [(int(epoch), int(last), [str(name) for name in names]) for epoch, last, names in status.epochs]
    return status


def _read_follow(data: bytes) -> Follow:
    follow = Follow(**json.loads(data[1:]))
    follow.epochs = [(int(epoch), int(last)) for epoch, last in follow.epochs]
    return follow


def _read_proposals(data: bytes) -> Proposals:
    _, epoch, previous, count = _PROPOSALS.unpack_from(data)
    at = _PROPOSALS.size
    entries = []
    for _ in range(count):
        zxid, kind, length = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        payload = data[at : at + length]
        if len(payload) != length:
            raise ValueError("an entry is cut short")
        entries.append(Entry(zxid, kind, payload))
        at += length
    return Proposals(epoch, previous, entries)


def _read_part(data: bytes) -> SnapshotPart:
    _, epoch, zxid, offset, total = _PART.unpack_from(data)
    return SnapshotPart(epoch, zxid, offset, total, data[_PART.size :])


def _read_report(data: bytes) -> Report:
    return Report(*_REPORT.unpack(data)[1:])


def _read_marks(data: bytes) -> Marks:
    return Marks(*_MARKS.unpack(data)[1:])


_READERS: dict[int, Callable[[bytes], Message]] = {
    _STATUS_KIND: _read_status,
    _FOLLOW_KIND: _read_follow,
    _PROPOSALS_KIND: _read_proposals,
    _PART_KIND: _read_part,
    _REPORT_KIND: _read_report,
    _MARKS_KIND: _read_marks,
    _ALIVE_KIND: lambda data: Alive(),
}


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as it travels (and may lie on disk): length of the head, head as JSON, state."""
    head = json.dumps(
        {
            "zxid": snapshot.zxid,
            "epochs": snapshot.epochs,
            "views": list(snapshot.views.items()),
            **snapshot.roll.fields(),
        }
    ).encode()
    return len(head).to_bytes(4, "big") + head + snapshot.state


def decode_snapshot(data: bytes) -> Snapshot:
    """Raises Malformed if these bytes are no snapshot."""
    try:
        stop = 4 + int.from_bytes(data[:4], "big")
        head: dict[str, Any] = json.loads(data[4:stop])
        epochs = tuple((int(epoch), int(last)) for epoch, last in head["epochs"])
        views = {int(epoch): tuple(names) for epoch, names in head["views"]}
        return Snapshot(int(head["zxid"]), epochs, Roll.of(head), data[stop:], views)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"broken snapshot: {error}") from error
