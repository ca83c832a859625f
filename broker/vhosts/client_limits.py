"""How many connections and channels users and vhosts may have (`set_vhost_limits`, `set_user_limits`).

Decides whether one more is allowed, counted over the whole cluster; the texts are RabbitMQ's. It must not know doors.
Whoever has no limit is not counted.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from broker.amqp.errors import ConnectionException
from broker.cluster import schema
from broker.cluster.records import VhostRecord

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.vhosts.roster import Roster


class ClientLimits:
    """Asked before a client is let in, and before it opens a channel if its user has a limit."""

    def __init__(self, tree: Callable[[], "Tree"], roster: "Roster") -> None:
        self._tree = tree
        self._roster = roster

    async def check_connection(self, user: str, vhost: str) -> None:
        """Raise ConnectionException (530) if the vhost or else the user has too many connections already."""
        record = schema.read(self._tree(), VhostRecord, schema.vhost_path(vhost))
        limit = None if record is None else _limit(record.limits, "max-connections")
        if limit is not None and await self._roster.count("connections", vhost=vhost) >= limit:
            why = f"access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is reached"
            raise ConnectionException(530, why)
        limit = self._user_limit(user, "max-connections")
        # the count of a vhost that is not there would be told instead of that
        if record is not None and limit is not None and await self._roster.count("connections", user=user) >= limit:
            why = f"connection refused for user '{user}': user connection limit ({limit}) is reached"
            raise ConnectionException(530, why)

    async def check_channel(self, user: str) -> None:
        """Raise ConnectionException (530) if the user has too many channels already."""
        limit = self._user_limit(user, "max-channels")
        if limit is not None and await self._roster.count("channels", user=user) >= limit:
            why = f"number of channels opened for user '{user}' has reached the maximum allowed user limit of ({limit})"
            raise ConnectionException(530, why)

    def _user_limit(self, user: str, name: str) -> int | None:
        record = schema.user(self._tree(), user)
        return None if record is None else _limit(record.limits, name)


def _limit(limits: Mapping[str, int], name: str) -> int | None:
    limit = limits.get(name, -1)
    return limit if limit >= 0 else None
