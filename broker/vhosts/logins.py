"""Who comes in: names and passwords, or the certificate that a client has shown.

Decides whether somebody may be the user they say they are, which mechanisms a client is offered, and who may only come
from this machine. It must not know what the user may do, nor any bytes. The reasons are for the log; a client only
learns that it was refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from broker.amqp.errors import ConnectionException
from broker.cluster import schema
from broker.cluster.passwords import fits
from broker.meters.meters import AMQP, HTTP, Attempts
from broker.vhosts.certificates import Certificate, NameRule
from broker.vhosts.client import User

if TYPE_CHECKING:
    from broker.amqp.requests import Login
    from broker.cluster.records import UserRecord
    from broker.cluster.tree import Tree
    from broker.world.network import Security

EXTERNAL = "EXTERNAL"
MECHANISMS = ("PLAIN", "AMQPLAIN", EXTERNAL)


class LoginRefused(Exception):
    """Wrong user, password or certificate, or a user who may only come from this machine."""


class OnlyFromHere(LoginRefused):
    """The right password, but from another machine."""


class LoginRules(NamedTuple):
    """rabbitmq.conf's settings of this matter."""

    mechanisms: Sequence[str] = MECHANISMS
    """`auth_mechanisms`, in the order in which they are offered."""
    loopback_users: Sequence[str] = ("guest",)
    """Users who may only come from this machine."""
    certified_name: NameRule = NameRule()


class Logins:
    """The door-keeper of one node."""

    def __init__(
        self, tree: "Callable[[], Tree]", rules: LoginRules, attempts: Mapping[str, Attempts] | None = None
    ) -> None:
        """`attempts`: where they are counted, by protocol."""
        self._tree = tree
        self._rules = rules
        self._attempts = {AMQP: Attempts(), HTTP: Attempts()} if attempts is None else attempts
        self._loopback_users = frozenset(rules.loopback_users)

    @property
    def offered(self) -> Sequence[str]:
        """All that this node knows, whoever may use them."""
        return self._rules.mechanisms

    def mechanisms(self, security: "Security | None") -> list[str]:
        """What a client is offered; EXTERNAL only if it has shown a certificate."""
        certified = security is not None and security.certificate is not None
        return [name for name in self._rules.mechanisms if name != EXTERNAL or certified]

    def log_in(self, login: "Login", peer_host: str, security: "Security | None") -> User:
        """The user that a client says it is. Raises LoginRefused; 503 for a mechanism that it cannot use."""
        name = login.mechanism
        if name not in self._rules.mechanisms or (name == EXTERNAL and security is None):
            raise ConnectionException(503, f"invalid authentication mechanism '{name}'")
        with self._counted(AMQP):
            if name == EXTERNAL:
                return self.by_certificate(None if security is None else security.certificate, peer_host)
            return self.by_password(login.user, login.password, peer_host)

    def log_in_visitor(self, name: str, password: str, peer_host: str) -> User:
        """The user with whose name and password somebody comes by HTTP. Raises LoginRefused."""
        with self._counted(HTTP):
            return self.by_password(name, password, peer_host)

    @contextmanager
    def _counted(self, protocol: str) -> Iterator[None]:
        attempts = self._attempts[protocol]
        try:
            yield
        except LoginRefused:
            attempts.refused += 1
            raise
        attempts.accepted += 1

    def by_password(self, name: str, password: str, peer_host: str) -> User:
        """The user with this password, coming from this address. Raises LoginRefused."""
        if not password:
            raise LoginRefused(f"user '{name}' attempted to log in with a blank password, which is prohibited")
        record = schema.user(self._tree(), name)
        if record is None or not fits(password, record.password_hash, record.hashing_algorithm):
            raise LoginRefused(f"user '{name}' - invalid credentials")
        return self._let_in(record, peer_host)

    def by_certificate(self, certificate: Certificate | None, peer_host: str) -> User:
        """The user whom a verified certificate names, with or without a password. Raises LoginRefused."""
        if certificate is None:
            raise LoginRefused("connection peer presented no TLS (x.509) certificate")
        name = self._rules.certified_name.name_in(certificate)
        if name is None:
            raise LoginRefused("no name found")
        record = schema.user(self._tree(), name)
        if record is None:
            raise LoginRefused(f"user '{name}' - invalid credentials")
        return self._let_in(record, peer_host)

    def _let_in(self, record: "UserRecord", peer_host: str) -> User:
        if record.name in self._loopback_users and not is_loopback(peer_host):
            raise OnlyFromHere(f"user '{record.name}' can only connect via localhost")
        return User(record.name, record.tags)


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine only; an IPv4 address may come in IPv6 clothes."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
