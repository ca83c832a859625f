"""What a queue was told to be: the settings in force, made of its arguments and of policies.

Decides only their shape. Where a value comes from (argument, policy, operator policy) is somebody else's business.
"""

from dataclasses import dataclass
from typing import Literal

Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one queue, named as RabbitMQ's `x-...` arguments; None means that there is no such limit."""

    message_ttl_ms: int | None = None
    expires_ms: int | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: Overflow = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int | None = None
    counts_returns: bool = False
    """A quorum queue: it counts how often each message was given back, and keeps transient ones on disk, too."""
    dead_letters_must_arrive: bool = False
    """Dead letter strategy `at-least-once`: they wait here as long as no queue takes them."""
    delivery_limit: int | None = None
    """A message that was given back more often dies."""
    single_active_consumer: bool = False
    lazy: bool = False
    """As little as possible of it stays in memory."""
    paused: bool = False
    """An operator's word: nothing is given out. Everything else goes on."""

    @property
    def may_refuse(self) -> bool:
        """Whether a length limit may keep messages out, rather than push others out."""
        limited = self.max_length is not None or self.max_length_bytes is not None
        return limited and self.overflow != "drop-head"

    delays: bool = False
    """Messages wait here for their `x-delay` instead of consumers; then they go to the dead letter exchange."""
