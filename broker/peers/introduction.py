"""Who one is, and the dialler's part of the greeting as a sequence of steps, whatever road the bytes take.

Decides what the dialler says and whether the other side holds the cookie and is who was expected (S17); the dialogue
stands in `greeting`. It must not wait nor know a connection: nodes walk the steps on a stream, commands on a socket.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple

from broker.wire.peer_frames import (
    GREETING_BYTES_MAX,
    HEAD,
    KIND_HELLO,
    KIND_PROOF,
    KIND_REFUSAL,
    KIND_WELCOME,
    NONCE_BYTES,
    Greeting,
    PeerFrameError,
    encode_frame,
    proof_holds,
    prove,
)
from broker.world.chance import fresh_nonce

if TYPE_CHECKING:
    import ssl

GREETING_TIMEOUT_S = 5.0
"""For the whole dialogue, TLS included."""

LANES = ("control", "data")
ADMIN = "admin"


class Identity(NamedTuple):
    """A run of a node: its name, the life (a counter in its data folder) and the folder."""

    node: str
    life: int
    folder: str


class Credentials:
    """What this node says of itself, and the secret that it shares with its cluster."""

    __slots__ = ("cluster", "cookie", "link", "me")

    def __init__(self, me: Identity, *, cluster: str, cookie: str, link: str = "") -> None:
        """`link`: where other nodes dial this one, empty if it cannot say."""
        self.me = me
        self.cluster = cluster
        self.cookie = cookie.encode()
        self.link = link

    def greeting(self, lane: str, offset: int = 0) -> Greeting:
        """A greeting of this node with a nonce of its own."""
        return Greeting(
            cluster=self.cluster,
            node=self.me.node,
            life=self.me.life,
            folder=self.me.folder,
            lane=lane,
            offset=offset,
            link=self.link,
            nonce=fresh_nonce(NONCE_BYTES),
        )


class Tls(NamedTuple):
    """The two contexts of a node's links, each of which presents this node's certificate."""

    listener: "ssl.SSLContext"
    dialler: "ssl.SSLContext"


class Stranger(Exception):
    """The other side does not belong here, or says that we do not; the text says why, without secrets."""


def introduce(
    credentials: Credentials, lane: str, *, expected: str | None, offset: int = 0
) -> Generator[tuple[bytes, int], bytes, Identity]:
    """The dialler's part; who answered. `expected` is the node that should be at this address, None for any.

    Each step is what to send and how many bytes are wanted then, which are to be handed in. Raises Stranger.
    """
    hello = credentials.greeting(lane, offset).encode()
    welcome = yield from receive_frame(KIND_WELCOME, encode_frame(KIND_HELLO, hello))
    answer = decode_greeting(welcome)
    check_cluster(answer, credentials)
    if expected is not None and answer.node != expected:
        raise Stranger(f"{expected} was expected, node {shown_word(answer.node)} answered")
    said = encode_frame(KIND_PROOF, prove(credentials.cookie, "dialler", hello, welcome))
    proof = yield from receive_frame(KIND_PROOF, said)
    if not proof_holds(credentials.cookie, "listener", hello, welcome, proof):
        raise Stranger("wrong cookie")
    return Identity(answer.node, answer.life, answer.folder)


def receive_frame(kind: int, said: bytes = b"") -> Generator[tuple[bytes, int], bytes, bytes]:
    """Say this, and take the payload of one frame of that kind, and not a byte more; nothing is taken on trust before
    its length is. Steps as in `introduce`."""
    length, received = HEAD.unpack((yield said, HEAD.size))
    if length > GREETING_BYTES_MAX or received not in (kind, KIND_REFUSAL):
        raise Stranger("does not greet as a Warren node does")
    payload = yield b"", length
    if received == KIND_REFUSAL:
        raise Stranger("refused there: " + shown_word(payload.decode("utf-8", "replace")))
    return payload


def decode_greeting(payload: bytes) -> Greeting:
    """What the other side says of itself. Raises Stranger."""
    try:
        return Greeting.decode(payload)
    except PeerFrameError as reason:
        raise Stranger(str(reason)) from None


def check_cluster(greeting: Greeting, credentials: Credentials) -> None:
    """Raises Stranger for a greeting of another cluster."""
    if greeting.cluster != credentials.cluster:
        raise Stranger(f"another cluster, {shown_word(greeting.cluster)}")


def shown_word(text: str) -> str:
    """A stranger's word as it may stand in a log line."""
    return ascii(text[:100])
