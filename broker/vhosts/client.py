"""One client connection, as far as queues and exchanges care: who it is, where it is, what it may.

Decides nothing by itself; it keeps what was decided for this connection (routes, rights) until that changes. It must
not know sockets or frames.
"""

from typing import TYPE_CHECKING, NamedTuple

from broker.amqp.errors import ChannelException
from broker.cluster.records import Owner
from broker.vhosts.access import Access

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.vhosts.crossroads import Route
    from broker.vhosts.handle import Handle


class User(NamedTuple):
    """Somebody who has logged in."""

    name: str
    tags: tuple[str, ...] = ()

    @property
    def impersonator(self) -> bool:
        """Whether messages may carry another user's name."""
        return "impersonator" in self.tags


class Client:
    """One connection to one vhost."""

    def __init__(self, user: User, vhost: str, owner: Owner, find_access: "Callable[[str, str], Access]") -> None:
        self.user = user
        self.vhost = vhost
        self.owner = owner
        self.epoch = -1
        self.routes: dict[bytes, Route] = {}
        self.has_declared_exclusively = False
        """Whether there may be queues that end with it."""
        self._find_access = find_access

    def access(self, vhost: str) -> Access:
        """Its rights now."""
        return self._find_access(self.user.name, vhost)

    def check_exclusive(self, handle: "Handle") -> None:
        """Raise 405 for an exclusive queue of another connection."""
        owner = handle.record.exclusive
        if owner is not None and owner != self.owner:
            raise ChannelException(
                405,
                f"cannot obtain exclusive access to locked {handle.text}. It could be originally declared on another "
                "connection or the exclusive property value does not match that of the original declaration.",
            )
