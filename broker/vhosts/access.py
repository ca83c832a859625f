"""Who may do what: permissions of one user in one vhost (RabbitMQ access control guide).

Decides whether a user may configure, write or read a named exchange or queue, and publish or bind with a routing key
of a topic exchange. It must not know where users are kept: it is given the patterns.
"""

import re
from collections.abc import Callable
from typing import Literal

from broker.amqp.errors import ChannelException
from broker.cluster.records import TopicPermissionRecord
from policies.patterns import PatternInvalid, compile_pattern, matches

Right = Literal["configure", "write", "read"]
DECISIONS_MAX = 10_000
"""Answers remembered per user and vhost; unbound random names must not grow memory."""


class Access:
    """The rights of one user in one vhost; made anew when the permissions change."""

    def __init__(
        self,
        user: str,
        vhost: str,
        configure: str,
        write: str,
        read: str,
        find_topic: Callable[[str], TopicPermissionRecord | None] = lambda exchange: None,
    ) -> None:
        """`find_topic`: the user's topic permission for an exchange, if there is one."""
        self.user = user
        self.vhost = vhost
        self._patterns = {"configure": _compile(configure), "write": _compile(write), "read": _compile(read)}
        self._decisions: dict[tuple[Right, str], bool] = {}
        self._find_topic = find_topic

    def may(self, right: Right, name: str) -> bool:
        """Whether the pattern of this right matches the name; the default exchange is called `amq.default` here."""
        known = self._decisions.get((right, name))
        if known is None:
            known = _permits(self._patterns[right], name or "amq.default")
            if len(self._decisions) >= DECISIONS_MAX:
                self._decisions.clear()
            self._decisions[right, name] = known
        return known

    def check(self, right: Right, kind: Literal["exchange", "queue"], name: str) -> None:
        """Raise 403 with RabbitMQ's text unless the right is there."""
        if not self.may(right, name):
            shown = name or "amq.default"
            raise ChannelException(
                403, f"access to {kind} '{shown}' in vhost '{self.vhost}' refused for user '{self.user}'"
            )

    def check_topic(self, right: Literal["write", "read"], exchange: str, key: str) -> None:
        """Raise 403 unless the user's topic permission for a topic exchange, if there is one, matches the routing key.

        `{username}` and `{vhost}` in it stand for the names as they are, not quoted (RabbitMQ).
        """
        record = self._find_topic(exchange)
        if record is None:
            return
        pattern: str = getattr(record, right)
        expanded = pattern.replace("{username}", self.user).replace("{vhost}", self.vhost)
        if not _permits(_compile(expanded), key):
            resource = f"'{exchange}' in vhost '{self.vhost}'"
            raise ChannelException(
                403, f"access to topic '{key}' in exchange {resource} refused for user '{self.user}'"
            )


def _permits(pattern: re.Pattern[bytes] | None, name: str) -> bool:
    return pattern is not None and matches(pattern, name)


def _compile(pattern: str) -> re.Pattern[bytes] | None:
    """An empty pattern allows only the empty name, as `^$` does; one that is no regular expression allows nothing."""
    try:
        return compile_pattern(pattern or "^$")
    except PatternInvalid:
        return None
