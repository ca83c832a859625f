"""Nodes on hosts of their own: a network namespace each, joined by a router that can drop what one says to another.

Decides how such a network is made, cut and taken down; nothing of it is seen outside, and nothing of it stays. It must
not know what runs there. A cut drops packets silently: connections stand and hear nothing, as between real machines.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_HERE = Path("/proc/thread-self/ns/net")
# For examples (RFC 5737): these addresses are nobody's, wherever a test runs.
_NETWORK = "192.0.2."
_number = count(1)


class Unable(Exception):
    """This machine does not let a test make networks; the text says why."""


class Hosts:
    """A star of hosts. Whoever stands at the router (`outside`) reaches all of them, whatever is cut between them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._mark = f"warren-{os.getpid()}-{next(_number)}"
        self._at = {name: 4 * index for index, name in enumerate(names, 1)}
        self._made: list[str] = []
        self._dropped: list[tuple[str, str]] = []

    def make(self) -> None:
        """Make the namespaces and their links. Raises Unable."""
        if os.geteuid() != 0:
            raise Unable("only root may make network namespaces")
        if shutil.which("ip") is None:
            raise Unable("there is no `ip` here (iproute2)")
        try:
            self._make(self._router)
            for name in self._at:
                self._join(name)
            with self.outside():
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            self.cut(*list(self._at)[:2])
            self.heal()
        except (subprocess.CalledProcessError, OSError) as error:
            why = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            raise Unable(f"this machine makes no network namespaces: {why}") from None

    def remove(self) -> None:
        """Take down what was made; what still runs there keeps nothing but itself."""
        while self._made:
            _ip("netns", "del", self._made.pop())

    def address(self, name: str) -> str:
        """Where others reach the host."""
        return f"{_NETWORK}{self._at[name] + 2}"

    def command(self, name: str, *command: str) -> list[str]:
        """The command line that runs a command on the host; its process is the command's own."""
        return ["ip", "netns", "exec", self._namespace(name), *command]

    def cut(self, left: str, right: str) -> None:
        """What left says to right is dropped."""
        self._dropped.append((left, right))
        self._rule("add", left, right)

    def heal(self) -> None:
        """Nothing is dropped any more."""
        while self._dropped:
            self._rule("del", *self._dropped.pop())

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Sockets that this thread opens meanwhile are the router's."""
        setns = ctypes.CDLL(None, use_errno=True).setns
        with _HERE.open() as home, Path("/run/netns", self._router).open() as there:
            _must(setns(there.fileno(), _CLONE_NEWNET))
            try:
                yield
            finally:
                _must(setns(home.fileno(), _CLONE_NEWNET))

    @property
    def _router(self) -> str:
        return self._namespace("router")

    def _namespace(self, name: str) -> str:
        return f"{self._mark}-{name}"

    def _make(self, namespace: str) -> None:
        _ip("netns", "add", namespace)
        self._made.append(namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")

    def _join(self, name: str) -> None:
        host, port, gateway = self._namespace(name), f"to-{name}", f"{_NETWORK}{self._at[name] + 1}"
        self._make(host)
        _ip("link", "add", port, "netns", self._router, "type", "veth", "peer", "name", "eth0", "netns", host)
        for namespace, link, address in ((self._router, port, gateway), (host, "eth0", self.address(name))):
            _ip("-n", namespace, "addr", "add", f"{address}/30", "dev", link)
            _ip("-n", namespace, "link", "set", link, "up")
        _ip("-n", host, "route", "add", "default", "via", gateway)

    def _rule(self, verb: str, left: str, right: str) -> None:
        _ip("-n", self._router, "rule", verb, "from", self.address(left), "to", self.address(right), "blackhole")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _must(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
