"""The metadata log on disk: what a member of the cluster has accepted, proposed and committed.

Decides the bytes of the log and which of them still count after a crash. It must not know why an entry is written.
One file: a base (accepted epoch, committed, snapshot) and behind it one frame per order of the agreement machine. A
new snapshot replaces the file in one step. Unlike the journal it suffers no gap: a member that lost something it had
acknowledged must not vote (DESIGN S13), so damage is DamagedLog; only what was never synced is cut.

Frame, big-endian: magic (2), version (1), kind (1), crc32 (4), size of the frame (4), then the offset up to which the
file was durable when the frame was written (8), and the kind's body. The checksum is seeded with the frame's own
offset, so bytes inside an entry are not taken for frames.
"""

import json
import struct
from bisect import bisect_right
from collections.abc import Iterator
from zlib import crc32

from broker.cluster.entries import (
    Accept,
    Append,
    Commit,
    Compact,
    DamagedLog,
    DurableState,
    Entry,
    Install,
    LogOp,
    Roll,
    Snapshot,
    Truncate,
)
from broker.storage.formats import NewerFormat
from broker.storage.journal import JournalFailed
from broker.world.disk import AppendFile, Disk

NAME = "zab/log"
MAGIC = b"\xd7Z"
VERSION = 1
_BASE, _ACCEPT, _ENTRY, _TRUNCATE, _COMMIT = range(1, 6)
_HEAD = struct.Struct(">2sBBIIQ")
_CHECKED_FROM = 8
_NUMBER = struct.Struct(">Q")
_NUMBERS = struct.Struct(">QQ")
_ENTRY_HEAD = struct.Struct(">QB")
_LENGTH = struct.Struct(">I")


class ZabLog:
    """From `recover` over `persist` to `close`. One task at a time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._state = DurableState()
        self._file: AppendFile | None = None
        self._durable_bytes = 0
        self._failure: JournalFailed | None = None

    async def recover(self) -> DurableState:
        """What this member remembers, made durable; all empty on a blank disk.

        Raises DamagedLog if something is missing that this member may have vouched for; NewerFormat, OSError.
        """
        try:
            data = await self._disk.reread(NAME)
        except FileNotFoundError:
            return DurableState()
        reading = _Reading(data, self._disk.path_of(NAME))
        try:
            for op in reading.ops():
                _apply(self._state, op)
        except DamagedLog as error:
            raise DamagedLog(f"{self._disk.path_of(NAME)}: {error}") from error
        await self._disk.truncate(NAME, reading.end)
        self._durable_bytes = reading.end
        state = self._state
        return DurableState(
            state.accepted_epoch, state.committed, state.snapshot, list(state.entries), state.accepted_view
        )

    async def persist(self, ops: list[LogOp], *, sync: bool) -> None:
        """Carry out the orders one after the other; with `sync` return only when all are durable.

        Raises JournalFailed, from then on always.
        """
        if self._failure is not None:
            raise self._failure
        for op in ops:
            _apply(self._state, op)
        try:
            if self._durable_bytes == 0 or any(isinstance(op, Install | Compact) for op in ops):
                await self._replace()
            else:
                await self._append(ops, sync=sync)
        except OSError as error:
            self._failure = JournalFailed(f"{self._disk.path_of(NAME)}: {error.strerror or error}")
            raise self._failure from error

    @property
    def works(self) -> bool:
        """Whether nothing has failed yet."""
        return self._failure is None

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _append(self, ops: list[LogOp], *, sync: bool) -> None:
        if self._file is None:
            self._file = await self._disk.open_append(NAME)
        frames: list[bytes] = []
        offset = self._file.size_bytes
        for kind, body in (frame for op in ops for frame in _frames_of(op)):
            frames.append(_seal(kind, body, offset, self._durable_bytes))
            offset += len(frames[-1])
        await self._file.append(frames, sync=sync)
        if sync:
            self._durable_bytes = offset

    async def _replace(self) -> None:
        """Write everything anew; the old file stays until the new one is durable."""
        parts = [(_BASE, _encode_base(self._state)), *_frames_of(Append(self._state.entries))]
        if self._state.accepted_view is not None:
            parts[1:1] = _frames_of(Accept(self._state.accepted_epoch, self._state.accepted_view))
        size = sum(_HEAD.size + len(body) for _, body in parts)
        frames = b""
        for kind, body in parts:
            frames += _seal(kind, body, len(frames), size)
        self.close()
        await self._disk.replace(NAME, frames)
        self._durable_bytes = size


def _apply(state: DurableState, op: LogOp) -> None:
    match op:
        case Accept(epoch, view):
            state.accepted_epoch, state.accepted_view = epoch, view
        case Append(entries):
            state.entries.extend(entries)
        case Truncate(zxid):
            del state.entries[_index_above(state.entries, zxid) :]
        case Install(snapshot):
            state.snapshot = snapshot
            state.entries.clear()
            state.committed = snapshot.zxid
        case Compact(snapshot):
            state.snapshot = snapshot
            del state.entries[: _index_above(state.entries, snapshot.zxid)]
        case Commit(zxid):
            state.committed = zxid


def _index_above(entries: list[Entry], zxid: int) -> int:
    return bisect_right(entries, zxid, key=lambda entry: entry.zxid)


# -- bytes -------------------------------------------------------------------------------------------------------------


def _frames_of(op: LogOp) -> Iterator[tuple[int, bytes]]:
    match op:
        case Accept(epoch, view):
            yield _ACCEPT, _NUMBER.pack(epoch) + (b"" if view is None else json.dumps(view).encode())
        case Append(entries):
            for entry in entries:
                yield _ENTRY, _ENTRY_HEAD.pack(entry.zxid, entry.kind) + entry.payload
        case Truncate(zxid):
            yield _TRUNCATE, _NUMBER.pack(zxid)
        case Commit(zxid):
            yield _COMMIT, _NUMBER.pack(zxid)
        case Install() | Compact():
            raise AssertionError("a snapshot replaces the file")


def _seal(kind: int, body: bytes, offset: int, durable_bytes: int) -> bytes:
    checked = _HEAD.pack(MAGIC, VERSION, kind, 0, _HEAD.size + len(body), durable_bytes)[_CHECKED_FROM:] + body
    crc = crc32(checked, crc32(_NUMBERS.pack(offset, VERSION << 8 | kind)))
    return struct.pack(">2sBBI", MAGIC, VERSION, kind, crc) + checked


def _encode_base(state: DurableState) -> bytes:
    numbers = _NUMBERS.pack(state.accepted_epoch, state.committed)
    if state.snapshot is None:
        return numbers
    snapshot = state.snapshot
    about = json.dumps(
        {"zxid": snapshot.zxid, "epochs": snapshot.epochs, "views": list(snapshot.views.items())}
    ).encode()
    roll = snapshot.roll.encode()
    return b"".join((numbers, _LENGTH.pack(len(about)), about, _LENGTH.pack(len(roll)), roll, snapshot.state))


def _decode_base(body: bytes) -> list[LogOp]:
    accepted_epoch, committed = _NUMBERS.unpack_from(body)
    at = _NUMBERS.size
    ops: list[LogOp] = [Accept(accepted_epoch)]
    if len(body) > at:
        about, at = _cut(body, at)
        roll, at = _cut(body, at)
        found = json.loads(about)
        epochs = tuple((int(epoch), int(last)) for epoch, last in found["epochs"])
        views = {int(epoch): tuple(names) for epoch, names in found.get("views", [])}
        ops.append(Install(Snapshot(int(found["zxid"]), epochs, Roll.decode(roll), body[at:], views)))
    return [*ops, Commit(committed)]


def _cut(body: bytes, at: int) -> tuple[bytes, int]:
    start = at + _LENGTH.size
    end = start + _LENGTH.unpack_from(body, at)[0]
    return body[start:end], end


class _Reading:
    """The orders in a file, up to `end`: behind it lies what was never synced."""

    def __init__(self, data: bytes, path: str) -> None:
        self._data = data
        self._path = path
        self.end = 0
        self._vouched_bytes = 1  # of any file the first frame was synced before the file had its name

    def ops(self) -> Iterator[LogOp]:
        """Raises DamagedLog, NewerFormat."""
        while self.end < len(self._data) or self._vouched_bytes > self.end:
            frame = self._frame_at(self.end)
            if frame is None:
                self._check_that_nothing_behind_vouches()
                return
            kind, body, durable_bytes, end = frame
            self._vouched_bytes = max(self._vouched_bytes, durable_bytes)
            yield from self._decode(kind, body)
            self.end = end

    def _check_that_nothing_behind_vouches(self) -> None:
        vouched_bytes = self._vouched_bytes
        offset = self._data.find(MAGIC, self.end + 1)
        while offset != -1:
            frame = self._frame_at(offset)
            vouched_bytes = max(vouched_bytes, frame[2] if frame else 0)
            offset = self._data.find(MAGIC, offset + 1)
        if vouched_bytes > self.end:
            raise DamagedLog(f"no sound frame at {self.end}, though {vouched_bytes} bytes were synced")

    def _frame_at(self, offset: int) -> tuple[int, bytes, int, int] | None:
        """Kind, body, durable bytes and end of a sound frame."""
        if len(self._data) - offset < _HEAD.size:
            return None
        magic, version, kind, crc, size, durable_bytes = _HEAD.unpack_from(self._data, offset)
        checked = self._data[offset + _CHECKED_FROM : offset + size]
        if (
            magic != MAGIC
            or size < _HEAD.size
            or len(checked) != size - _CHECKED_FROM
            or crc32(checked, crc32(_NUMBERS.pack(offset, version << 8 | kind))) != crc
        ):
            return None
        if version != VERSION:
            raise NewerFormat(self._path, f"a frame of version {version} at {offset}")
        return kind, self._data[offset + _HEAD.size : offset + size], durable_bytes, offset + size

    def _decode(self, kind: int, body: bytes) -> list[LogOp]:
        try:
            if kind == _BASE:
                return _decode_base(body)
            if kind == _ENTRY:
                zxid, entry_kind = _ENTRY_HEAD.unpack_from(body)
                return [Append([Entry(zxid, entry_kind, body[_ENTRY_HEAD.size :])])]
            number = _NUMBER.unpack_from(body)[0]
            rest = body[_NUMBER.size :]
            if kind == _ACCEPT:
                return [Accept(number, json.loads(rest) if rest else None)]
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise DamagedLog(f"the frame at {self.end} makes no sense: {error!r}") from error
        if kind == _TRUNCATE:
            return [Truncate(number)]
        if kind == _COMMIT:
            return [Commit(number)]
        raise NewerFormat(self._path, f"a frame of kind {kind} at {self.end}")
