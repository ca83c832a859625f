"""What the parser of AMQP bytes reports: small records, one for each thing that a peer did.

Decides only their shape. A run of publishes, deliveries or acknowledgements is one record, however long. They must
not know what they lead to; nobody changes them.
"""

from collections.abc import Iterator
from itertools import groupby

from broker.wire.message import Traits


class Publish:
    """Consecutive publishes of one channel with byte-equal method arguments and equal traits."""

    __slots__ = ("channel", "contents", "payload", "traits")

    def __init__(self, channel: int, payload: bytes, traits: Traits, contents: list[bytes]) -> None:
        self.channel = channel
        self.payload = payload
        self.traits = traits
        self.contents = contents

    @property
    def address(self) -> bytes:
        """Exchange and routing key as two short strings."""
        return self.payload[2:-1]


class Medley:
    """Consecutive publishes of one channel with equal traits and different method arguments.

    `order` has the arguments of each; `contents`, by arguments, what came with them, in order. `size_bytes` is about
    the length of all of it.
    """

    __slots__ = ("channel", "contents", "order", "size_bytes", "traits")

    def __init__(self, first: Publish) -> None:
        self.channel = first.channel
        self.traits = first.traits
        self.order = [first.payload] * len(first.contents)
        self.contents = {first.payload: first.contents}
        self.size_bytes = 0

    def publishes(self) -> Iterator[Publish]:
        """The same one behind the other."""
        left = {payload: iter(contents) for payload, contents in self.contents.items()}
        for payload, alike in groupby(self.order):
            yield Publish(self.channel, payload, self.traits, [next(left[payload]) for _ in alike])


class Acks:
    """Acknowledgements of first_tag to last_tag one by one; or, if `multiple`, one of everything up to last_tag."""

    __slots__ = ("channel", "first_tag", "last_tag", "multiple")

    def __init__(self, channel: int, first_tag: int, last_tag: int, multiple: bool) -> None:
        self.channel = channel
        self.first_tag = first_tag
        self.last_tag = last_tag
        self.multiple = multiple


class Delivered:
    """Consecutive deliveries to one consumer, equal but for the tags first_tag, first_tag + 1, … (client role)."""

    __slots__ = ("address", "channel", "consumer_tag", "contents", "first_tag", "redelivered")

    def __init__(
        self,
        channel: int,
        consumer_tag: bytes,
        first_tag: int,
        redelivered: bool,
        address: bytes,
        contents: list[bytes],
    ) -> None:
        self.channel = channel
        self.consumer_tag = consumer_tag
        self.first_tag = first_tag
        self.redelivered = redelivered
        self.address = address
        self.contents = contents


class Content:
    """A method with its content: return or get-ok (client role); `payload` is the method's arguments."""

    __slots__ = ("channel", "class_id", "content", "method_id", "payload")

    def __init__(self, channel: int, class_id: int, method_id: int, payload: bytes, content: bytes) -> None:
        self.channel = channel
        self.class_id = class_id
        self.method_id = method_id
        self.payload = payload
        self.content = content


class MethodFrame:
    """Any other method; `payload` is its arguments, not yet looked at."""

    __slots__ = ("channel", "class_id", "method_id", "payload")

    def __init__(self, channel: int, class_id: int, method_id: int, payload: bytes) -> None:
        self.channel = channel
        self.class_id = class_id
        self.method_id = method_id
        self.payload = payload

    @property
    def octets(self) -> bytes:
        """All of the frame but its head and end."""
        return self.class_id.to_bytes(2, "big") + self.method_id.to_bytes(2, "big") + self.payload


class Oversize:
    """A publish announced a body of `size` bytes, more than is taken; its frames are thrown away as they come."""

    __slots__ = ("channel", "size")

    def __init__(self, channel: int, size: int) -> None:
        self.channel = channel
        self.size = size


class Heartbeat:
    """A sign of life."""

    __slots__ = ()


class Fault:
    """The bytes break the protocol. If `fatal`, frames can no longer be told apart and nothing follows.

    `publishing`: it happened between the frames of a publish.
    """

    __slots__ = ("code", "fatal", "publishing", "why")

    def __init__(self, code: int, why: str, *, fatal: bool, publishing: bool = False) -> None:
        self.code = code
        self.why = why
        self.fatal = fatal
        self.publishing = publishing


WireEvent = Publish | Medley | Acks | Delivered | Content | MethodFrame | Oversize | Heartbeat | Fault
