"""Who may do what: permissions of one user in one vhost (RabbitMQ access control guide).

Decides whether a user may configure, write or read a named exchange or queue. It must not know where users are kept:
it is given the three patterns.
"""

import re
from typing import Literal

from broker.amqp.errors import ChannelException

Right = Literal["configure", "write", "read"]
DECISIONS_MAX = 10_000
"""Answers remembered per user and vhost; unbound random names must not grow memory."""


class Access:
    """The rights of one user in one vhost; made anew when the permissions change."""

    def __init__(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        self.user = user
        self.vhost = vhost
        self._patterns = {"configure": _compile(configure), "write": _compile(write), "read": _compile(read)}
        self._decisions: dict[tuple[Right, str], bool] = {}

    def may(self, right: Right, name: str) -> bool:
        """Whether the pattern of this right matches the name; the default exchange is called `amq.default` here."""
        known = self._decisions.get((right, name))
        if known is None:
            pattern = self._patterns[right]
            known = pattern is not None and pattern.search(name or "amq.default") is not None
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


def _compile(pattern: str) -> re.Pattern[str] | None:
    """An empty pattern allows nothing, as `^$` does; one that is no regular expression neither."""
    if not pattern:
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None
