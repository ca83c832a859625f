"""What a channel looks at before it takes a message whose properties claim or ask for something.

Decides whether a claimed user is the publisher, an expiration a number and a delivery mode one of the two, and puts the
channel's own address into messages that ask for direct replies. It must not know routes. Source: RabbitMQ 3.10,
`rabbit_channel` (`maybe_set_fast_reply_to`, `check_user_id_header`, `check_expiration_header`, then
`rabbit_basic:message`: in this order).
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from broker.amqp.errors import ChannelException
from broker.wire.properties import EXPIRATION_INVALID, Properties, with_reply_to

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.vhosts.client import User
    from broker.vhosts.replies import Replies
    from broker.wire.message import Traits


def examined(
    user: "User", channel: "Channel", replies: "Replies", traits: "Traits", contents: list[bytes]
) -> "tuple[Traits, list[bytes]]":
    """The run as it goes on. Raises 406."""
    if traits.asks_reply:
        address = replies.address_of(channel).encode()
        contents = [with_reply_to(content, address) for content in contents]
        traits = _addressed(traits)
    if traits.user_id is not None and traits.user_id != user.name and not user.impersonator:
        why = f"user_id property set to '{traits.user_id}' but authenticated user was '{user.name}'"
        raise ChannelException(406, why)
    if traits.expiration_ms == EXPIRATION_INVALID:
        text = Properties.of(contents[0]).expiration or ""
        raise ChannelException(406, f"invalid expiration '{text}': {_fault_of(text)}")
    if traits.unknown_mode >= 0:
        raise ChannelException(406, f"invalid message: {{delivery_mode_unknown,{traits.unknown_mode}}}")
    return traits, contents


@lru_cache(maxsize=1024)
def _addressed(traits: "Traits") -> "Traits":
    return traits.changed(asks_reply=False)


def _fault_of(expiration: str) -> str:
    digits = expiration.lstrip("+-")
    number = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    if not number:
        return "no_integer"
    if rest := digits[len(number) :]:
        return f'{{leftover_string,"{rest}"}}'
    return f"{{value_negative,-{number}}}"
