"""What nodes say to each other, as bytes: frames, and the greeting that comes before them.

Decides the format only; it must not know who may say what. A frame is the length of its payload (u32), its kind (u8)
and the payload. A *stream offset* counts the bytes of whole frames that one node has ever queued for another on one
lane in one life: it goes on over reconnects (the greeting says where a connection begins), so an offset is never used
twice and an acknowledgement that arrives late cannot be taken for a newer one.
"""

import hashlib
import hmac
import json
import struct
from typing import Any

FRAME_BYTES_MAX = 520 * 1024 * 1024
"""The longest payload: the longest message that can be configured (512 MiB), and what goes with it."""
GREETING_BYTES_MAX = 1024
"""The longest payload before the other side has proved who it is."""

MAGIC = b"WARREN"
VERSION = 1
"""Of everything that nodes say to each other; nodes of different versions do not talk."""

KIND_HELLO = 1
KIND_WELCOME = 2
KIND_PROOF = 3
KIND_REFUSAL = 4
KIND_ADMIN_REQUEST = 5
KIND_ADMIN_ANSWER = 6
KIND_FIRST_FREE = 16
"""Kinds below this one belong to the link itself; the others to whoever handles them."""

NONCE_BYTES = 32

HEAD = struct.Struct(">IB")
_GREETING = struct.Struct(f">6sB{NONCE_BYTES}sQQ")

Frame = tuple[int, bytes, int]
"""Kind, payload, and the stream offset behind the frame."""


class PeerFrameError(Exception):
    """These bytes are not what nodes say to each other."""


class OtherVersion(PeerFrameError):
    """A greeting of another protocol version."""


def encode_frame(kind: int, payload: bytes) -> bytes:
    """One frame."""
    return HEAD.pack(len(payload), kind) + payload


def encode_object(kind: int, value: dict[str, Any]) -> bytes:
    """A JSON object in a frame."""
    return encode_frame(kind, json.dumps(value).encode())


def decode_object(kind: int, payload: bytes, expected: int) -> dict[str, Any]:
    """The JSON object in a frame of the expected kind; PeerFrameError if it is not one."""
    if kind != expected:
        raise PeerFrameError(f"a frame of kind {kind} where {expected} was expected")
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise PeerFrameError("not JSON") from None
    if not isinstance(found, dict):
        raise PeerFrameError("not a JSON object")
    return found


class FrameReader:
    """Cuts a stream of bytes into frames, however it was cut on the way.

    Holds at most one unfinished frame and what came with the last piece of it.
    """

    __slots__ = ("_held", "_held_bytes", "_needed_bytes", "frame_bytes_max", "offset")

    def __init__(self, *, offset: int = 0, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.offset = offset
        self.frame_bytes_max = frame_bytes_max
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._needed_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises PeerFrameError for one that is too long."""
        if self._held:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes < self._needed_bytes:
                return []
            data = b"".join(self._held)
            self._held = []
        frames: list[Frame] = []
        start, end = 0, len(data)
        needed = HEAD.size
        while start + HEAD.size <= end:
            length, kind = HEAD.unpack_from(data, start)
            if length > self.frame_bytes_max:
                raise PeerFrameError(f"a frame of {length} bytes, more than {self.frame_bytes_max}")
            needed = HEAD.size + length
            if start + needed > end:
                break
            self.offset += needed
            frames.append((kind, data[start + HEAD.size : start + needed], self.offset))
            start += needed
            needed = HEAD.size
        if start < end:
            self._held = [data[start:]]
            self._held_bytes = end - start
            self._needed_bytes = needed
        return frames


class Greeting:
    """Who opens a connection (hello) or answers one (welcome), and what for.

    `lane` is "control", "data" or "admin"; `offset` the stream offset at which the hello's connection begins; `life`
    and `folder` name the run of the node and its data folder (S12, S13); `link` is where the node is dialled, empty if
    it cannot say.
    """

    __slots__ = ("cluster", "folder", "lane", "life", "link", "node", "nonce", "offset")

    def __init__(
        self,
        *,
        cluster: str,
        node: str,
        life: int,
        folder: str,
        lane: str,
        nonce: bytes,
        offset: int = 0,
        link: str = "",
    ) -> None:
        self.cluster = cluster
        self.node = node
        self.life = life
        self.folder = folder
        self.lane = lane
        self.nonce = nonce
        self.offset = offset
        self.link = link

    def encode(self) -> bytes:
        """The payload of a hello or welcome. Raises ValueError if a name is longer than 255 bytes."""
        fixed = _GREETING.pack(MAGIC, VERSION, self.nonce, self.life, self.offset)
        names = [name.encode() for name in (self.cluster, self.node, self.folder, self.lane, self.link)]
        return fixed + b"".join(bytes((len(name),)) + name for name in names)

    @classmethod
    def decode(cls, payload: bytes) -> "Greeting":
        """The greeting in `payload`. Raises OtherVersion or PeerFrameError."""
        if payload[: len(MAGIC)] != MAGIC or len(payload) <= len(MAGIC):
            raise PeerFrameError("not a Warren node")
        if payload[len(MAGIC)] != VERSION:
            raise OtherVersion(f"protocol version {payload[len(MAGIC)]}, here it is {VERSION}")
        try:
            _, _, nonce, life, offset = _GREETING.unpack_from(payload)
            names, start = [], _GREETING.size
            for _ in range(5):
                stop = start + 1 + payload[start]
                names.append(payload[start + 1 : stop].decode())
                start = stop
        except (struct.error, IndexError, UnicodeDecodeError):
            raise PeerFrameError("a greeting that is not one") from None
        if start != len(payload):
            raise PeerFrameError("a greeting of the wrong length")
        cluster, node, folder, lane, link = names
        return cls(
            cluster=cluster, node=node, life=life, folder=folder, lane=lane, nonce=nonce, offset=offset, link=link
        )


def prove(cookie: bytes, role: str, hello: bytes, welcome: bytes) -> bytes:
    """What only a holder of the cookie can say about this very pair of greetings (S17).

    `role` ("dialler" or "listener") keeps one side's proof from serving as the other's.
    """
    return hmac.digest(cookie, b"".join((role.encode(), HEAD.pack(len(hello), 0), hello, welcome)), hashlib.sha256)


def proof_holds(cookie: bytes, role: str, hello: bytes, welcome: bytes, proof: bytes) -> bool:
    """Whether `proof` is that proof; takes as long either way."""
    return hmac.compare_digest(prove(cookie, role, hello, welcome), proof)
