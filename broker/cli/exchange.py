"""One question over a plain socket: dial, greet, ask, hang up, within a time.

Decides how long each step may take and how a failure is worded. Scripts call commands many times a second, and one
question needs no trio, whose import costs more than all the rest of a command. It must not know what a request means.
"""

import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

from broker.cli.failures import Failed
from broker.node.configuration import Address
from broker.peers.introduction import ADMIN, Credentials, Identity, Stranger, introduce
from broker.wire.peer_frames import (
    KIND_ADMIN_ANSWER,
    KIND_ADMIN_REQUEST,
    FrameReader,
    PeerFrameError,
    decode_object,
    encode_object,
)

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

DIAL_TIMEOUT_S = 2.0
"""For the way to a node, and as much for its greeting."""
READ_BYTES = 65536


class Silent(Failed):
    """A node that did not answer; the text says why."""


def ask_once(
    address: Address,
    request: dict[str, Any],
    *,
    cluster: str,
    cookie: str,
    timeout_s: float,
    tls: "ssl.SSLContext | None" = None,
) -> dict[str, Any]:
    """The answer. Raises Silent."""
    deadline_s = monotonic() + timeout_s
    dial_s = min(DIAL_TIMEOUT_S, timeout_s)
    with _told(f"{address}: no answer within {dial_s:g} s", str(address)):
        used = _dial(address, monotonic() + dial_s)
    with used:
        greeted_s = min(deadline_s, monotonic() + dial_s)
        with _told(f"{address}: no greeting within {dial_s:g} s", str(address)):
            if tls is not None:
                _patience(used, greeted_s)
                used = tls.wrap_socket(used, server_hostname=address.host)
            credentials = Credentials(Identity("", 0, ""), cluster=cluster, cookie=cookie)
            node = _walk(used, introduce(credentials, ADMIN, expected=None), greeted_s).node
        with used, _told(f"{address}: no answer within {timeout_s:g} s", node):
            return _ask(used, request, deadline_s)


def _dial(address: Address, deadline_s: float) -> socket.socket:
    dialled = socket.create_connection((address.host, address.port), _rest(deadline_s))
    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A dial to a free local port can meet itself (TCP simultaneous open); nobody else is there.
    if dialled.getsockname() == dialled.getpeername():
        dialled.close()
        raise ConnectionRefusedError
    return dialled


def _walk(used: socket.socket, steps: Generator[tuple[bytes, int], bytes, T], deadline_s: float) -> T:
    """What comes of these steps of the greeting."""
    try:
        said, wanted = next(steps)
        while True:
            _patience(used, deadline_s)
            used.sendall(said)
            data = b""
            while len(data) < wanted:
                _patience(used, deadline_s)
                more = used.recv(wanted - len(data))
                if not more:
                    raise Stranger("closed during the greeting")
                data += more
            said, wanted = steps.send(data)
    except StopIteration as done:
        return cast("T", done.value)


def _ask(used: socket.socket, request: dict[str, Any], deadline_s: float) -> dict[str, Any]:
    reader = FrameReader()
    _patience(used, deadline_s)
    used.sendall(encode_object(KIND_ADMIN_REQUEST, request))
    while True:
        _patience(used, deadline_s)
        data = used.recv(READ_BYTES)
        if not data:
            raise PeerFrameError("hung up before it answered")
        for kind, payload, _ in reader.feed(data):
            return decode_object(kind, payload, KIND_ADMIN_ANSWER)


def _patience(used: socket.socket, deadline_s: float) -> None:
    """The next step may last until then."""
    used.settimeout(_rest(deadline_s))


def _rest(deadline_s: float) -> float:
    rest_s = deadline_s - monotonic()
    if rest_s <= 0:
        raise TimeoutError
    return rest_s


@contextmanager
def _told(late: str, who: str) -> Iterator[None]:
    """Makes Silent of whatever goes wrong; `late`: what to say if it took too long."""
    try:
        yield
    except TimeoutError:
        raise Silent(late) from None
    except ConnectionRefusedError:
        raise Silent(f"{who}: connection refused") from None
    except Stranger as stranger:
        raise Silent(str(stranger)) from None
    except PeerFrameError as failure:
        raise Silent(f"{who}: {failure}") from None
    except OSError as failure:
        reason = getattr(failure, "reason", None)  # of TLS
        raise Silent(f"TLS: {reason}" if reason else f"{who}: {failure.strerror or failure}") from None
