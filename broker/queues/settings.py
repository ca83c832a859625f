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
    single_active_consumer: bool = False
