"""What is done to open files in one go, however little of it the system does per call.

Decides how to write and read everything, how to take room for real and how to look past what the system only remembers,
on Linux and elsewhere. It must not know names or folders. Every error comes as OSError.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

Chunk = bytes | bytearray | memoryview

_CHUNKS_PER_WRITE_MAX = 1024  # IOV_MAX of Linux and macOS
_ZEROS_BYTES = 1024 * 1024
# macOS has no fdatasync.
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


def write_all(descriptor: int, chunks: Sequence[Chunk]) -> int:
    """Write everything, in as few calls as the system allows; returns the number of bytes."""
    total = 0
    for start in range(0, len(chunks), _CHUNKS_PER_WRITE_MAX):
        part = chunks[start : start + _CHUNKS_PER_WRITE_MAX]
        wanted, written = sum(map(len, part)), os.writev(descriptor, part)
        total += wanted
        if written < wanted:  # a disk that is nearly full takes a part first and says why at the next call
            rest = memoryview(b"".join(part))[written:]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    return total


def read_all(descriptor: int, offset: int, size_bytes: int) -> bytes:
    """Read up to so many bytes from there on."""
    parts = [os.pread(descriptor, size_bytes, offset)]
    got = len(parts[0])
    while parts[-1] and got < size_bytes:
        parts.append(os.pread(descriptor, size_bytes - got, offset + got))
        got += len(parts[-1])
    return b"".join(parts)


def look_past_cache(descriptor: int) -> None:
    """Let the next read of the file come from the disk: after a sync that failed the system may remember pages that it
    never wrote, and call them clean."""
    os.fsync(descriptor)
    if hasattr(os, "posix_fadvise"):  # macOS has none, and drops such pages by itself
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def take_room(descriptor: int, size_bytes: int) -> None:
    """Make the file so long, with blocks of the disk for all of it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
    else:
        for start in range(0, size_bytes, _ZEROS_BYTES):
            os.pwrite(descriptor, bytes(min(_ZEROS_BYTES, size_bytes - start)), start)
    os.ftruncate(descriptor, size_bytes)
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
