"""The only door to the network: listen, dial, and the stream that comes of either.

Decides how TCP is used (TCP_NODELAY always, addresses as `HOST:PORT` or `[IPv6]:PORT`, what a failed dial proves) and
nothing else; it must not know what is said over a stream. The twin for tests, `SimNetwork`, keeps the same promises in
virtual time. A broken stream raises `trio.BrokenResourceError`, one that was closed here `trio.ClosedResourceError`.
"""

import errno
import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import trio

log = logging.getLogger("warren.network")

BACKLOG_CONNECTIONS = 1024
ACCEPT_PAUSE_S = 0.1
"""How long accepting rests when it fails, as it does while the process is out of file descriptors."""

_CLOSED = "this was closed here"


class DialFailure(Exception):
    """No connection came about; the text says why."""


class Refused(DialFailure):
    """The address answered that nobody listens there (ECONNREFUSED): the one failure that proves something (S10)."""


class Unreachable(DialFailure):
    """Time-out, no route, no such name, no file descriptor left: says nothing about the process at the address."""


class Security(NamedTuple):
    """What TLS has agreed upon, in OpenSSL's names."""

    protocol: str
    cipher: str
    certificate: Mapping[str, Any] | None
    """The other side's, verified, in the shape of `ssl.SSLSocket.getpeercert`; None: it showed none."""


class Stream(trio.abc.Stream):
    """A connection of ordered bytes. One task may send while another receives."""

    __slots__ = ("peer_address",)

    peer_address: str
    """The other end, as `HOST:PORT`."""
    security: Security | None = None
    """None: everybody on the way can read along."""

    @abstractmethod
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """At least one byte and at most `max_bytes` (64 KiB if not told); empty at the end of the stream."""

    @abstractmethod
    def close_now(self) -> None:
        """Close without waiting; tasks that wait on this stream get `trio.ClosedResourceError`."""

    async def finish(self) -> None:
        """Say that nothing more follows, where that is more than closing (TLS), and see the other side agree."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close."""
        self.close_now()
        await trio.lowlevel.checkpoint()


class Listener(ABC):
    """An open port."""

    address: str
    """Where it really listens: port 0 has become the port that was free."""

    @abstractmethod
    async def accept(self) -> Stream:
        """The next connection; `trio.ClosedResourceError` once the listener is closed."""

    @abstractmethod
    def close_now(self) -> None:
        """Stop listening; connections accepted before live on."""


class Network(ABC):
    """What a node may do with the network."""

    @abstractmethod
    async def listen(self, address: str) -> Listener:
        """Open a port; port 0 is any free one. Raises OSError if the address is taken or not this machine's."""

    @abstractmethod
    async def dial(self, address: str, timeout_s: float) -> Stream:
        """Connect. Raises `Refused` or `Unreachable`."""


class TcpNetwork(Network):
    """The machine's own network."""

    async def listen(self, address: str) -> Listener:
        """See `Network.listen`."""
        # A name such as localhost may mean two addresses; the old one is what clients try when they do not think.
        family, target = min(await _resolve(address), key=lambda found: found[0] != socket.AF_INET)
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind(target)
            opened.listen(BACKLOG_CONNECTIONS)
        except OSError:
            opened.close()
            raise
        return TcpListener(opened)

    async def dial(self, address: str, timeout_s: float) -> Stream:
        """See `Network.dial`. Of several addresses behind a name the first that answers is taken."""
        with trio.move_on_after(timeout_s):
            try:
                targets = await _resolve(address)
            except ValueError as failure:  # what others say of where they listen may be anything
                raise Unreachable(f"{address!r} cannot be dialled: {failure}") from None
            except OSError as failure:
                raise Unreachable(f"{address}: {failure.strerror or failure}") from None
            reasons = []
            for family, target in targets:
                try:
                    return TcpStream(await _connect(family, target))
                except OSError as failure:
                    reasons.append(failure)
            if all(reason.errno == errno.ECONNREFUSED for reason in reasons):
                raise Refused(f"{address}: connection refused")
            raise Unreachable(f"{address}: {reasons[-1].strerror or reasons[-1]}")
        raise Unreachable(f"{address}: no answer within {timeout_s:g} s")


class TcpListener(Listener):
    """A listening socket."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self.address = _text_of(opened.getsockname())

    async def accept(self) -> Stream:
        """See `Listener.accept`. Out of file descriptors it rests and tries again: connections wait in the kernel."""
        while True:
            _check_open(self._socket)
            try:
                await trio.lowlevel.wait_readable(self._socket)
                accepted, _ = self._socket.accept()
                return TcpStream(accepted)
            except BlockingIOError:
                continue
            except OSError as failure:
                if failure.errno == errno.ECONNABORTED:  # about that one connection, which was gone before it was taken
                    continue
                log.warning("accept_failed address=%s reason=%r", self.address, failure.strerror)
                await trio.sleep(ACCEPT_PAUSE_S)

    def close_now(self) -> None:
        """See `Listener.close_now`."""
        _close(self._socket)


class TcpStream(Stream):
    """A connected socket, tuned for a broker: no Nagle, and no system call that is known to find nothing."""

    __slots__ = ("_drained", "_socket")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._drained = True
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer_address = _text_of(connected.getpeername())
        except OSError:  # reset in the meantime: the first read will say so
            self.peer_address = "gone"

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `Stream.receive_some`."""
        wanted = 65536 if max_bytes is None else max_bytes
        _check_open(self._socket)
        try:
            while True:
                # A short read has emptied the socket, so asking again at once would only fetch EAGAIN.
                if self._drained:
                    await trio.lowlevel.wait_readable(self._socket)
                else:
                    await trio.lowlevel.checkpoint()
                try:
                    data = self._socket.recv(wanted)
                except BlockingIOError:
                    self._drained = True
                    continue
                self._drained = len(data) < wanted
                return data
        except OSError as failure:
            raise self._failure(failure) from None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send every byte: as much as the kernel takes at once, the rest as it drains."""
        try:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                await trio.lowlevel.checkpoint()
                return
            with memoryview(data) as view:
                while sent < len(view):
                    await trio.lowlevel.wait_writable(self._socket)
                    try:
                        sent += self._socket.send(view[sent:])
                    except BlockingIOError:
                        continue
        except OSError as failure:
            raise self._failure(failure) from None

    def send_now(self, data: bytes | bytearray | memoryview) -> int:
        """Send what the kernel takes at once; how many bytes that were. A broken connection takes none."""
        try:
            return self._socket.send(data)
        except OSError:
            return 0

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes bytes again."""
        _check_open(self._socket)
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except OSError as failure:
            raise self._failure(failure) from None

    def close_now(self) -> None:
        """See `Stream.close_now`."""
        _close(self._socket)

    def _failure(self, failure: OSError) -> Exception:
        if self._socket.fileno() == -1:
            return trio.ClosedResourceError(_CLOSED)
        return trio.BrokenResourceError(f"connection broken: {failure.strerror or failure}")


class TlsStream(Stream):
    """TLS over another stream. The end without TLS's own good-bye counts as the end, as it does for HTTPS."""

    def __init__(self, transport: Stream, secured: trio.SSLStream[Stream]) -> None:
        self.peer_address = transport.peer_address
        cipher = secured.cipher()
        self.security = Security(secured.version(), cipher[0], secured.getpeercert() or None)
        self._transport = transport
        self._secured = secured

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `Stream.receive_some`."""
        return bytes(await self._secured.receive_some(65536 if max_bytes is None else max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send every byte."""
        await self._secured.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until bytes can be taken again."""
        await self._secured.wait_send_all_might_not_block()

    async def finish(self) -> None:
        """See `Stream.finish`. Whoever does not agree, or is not heard to, has gone."""
        try:
            await self._secured.unwrap()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            return

    def close_now(self) -> None:
        """See `Stream.close_now`; the other side is not told first."""
        self._transport.close_now()


async def secure(transport: Stream, context: ssl.SSLContext, *, server_hostname: str | None = None) -> Stream:
    """Shake hands over `transport`: as the dialler if a host name is given, as the one who was dialled if not.

    The caller sets the time limit. Raises `trio.BrokenResourceError` if either side does not like the other.
    """
    secured = trio.SSLStream(
        transport,
        context,
        server_hostname=server_hostname,
        server_side=server_hostname is None,
        https_compatible=True,
    )
    await secured.do_handshake()
    return TlsStream(transport, secured)


def split_endpoint(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPv6]:PORT`. Raises ValueError with a text fit for people."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{address!r}: an IPv6 address stands in brackets, as in [::1]:5672")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT with a port from 0 to 65535")
    return host, int(port)


def join_endpoint(host: str, port: int) -> str:
    """`HOST:PORT`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _resolve(address: str) -> list[tuple[int, tuple[Any, ...]]]:
    """Families and socket addresses behind `address`, as each family has them; only a host name needs the resolver."""
    host, port = split_endpoint(address)
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, target) for family, _, _, _, target in found]


async def _connect(family: int, target: tuple[Any, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        code = opened.connect_ex(target)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(opened)
            code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # A dial to a free local port can meet itself (TCP simultaneous open); nobody else is there.
        if code == 0 and opened.getsockname() == opened.getpeername():
            code = errno.ECONNREFUSED
        if code:
            raise OSError(code, errno.errorcode.get(code, str(code)))
    except BaseException:
        _close(opened)
        raise
    return opened


def _check_open(used: socket.socket) -> None:
    """Waiting on a closed socket would confuse trio's books for good."""
    if used.fileno() == -1:
        raise trio.ClosedResourceError(_CLOSED)


def _close(opened: socket.socket) -> None:
    if opened.fileno() != -1:
        trio.lowlevel.notify_closing(opened)
        opened.close()


def _text_of(name: tuple[str, int]) -> str:
    return join_endpoint(name[0], name[1])
