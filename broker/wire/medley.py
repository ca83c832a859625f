"""Takes publishes that differ in their method one by one, as a publisher sends them that goes to many queues in turn.

Decides how far such publishes of one channel go on with equal traits: each has to be looked at, but in one loop, and
what is alike with the last one is compared as bytes and not read again. Longer runs of equal ones it leaves to `runs`,
and whatever is not simple or not whole to the general parser in `frames.py`, which is the judge in the tests.
"""

import struct
from collections.abc import Callable

from broker.wire.events import Medley
from broker.wire.malformed import Malformed
from broker.wire.method_fields import two_strings_fit
from broker.wire.properties import traits_of_properties

ALIKE_MAX = 8
"""Where more than so many in a row are equal, there is a run."""

_METHOD = struct.Struct(">BHII")
_PUBLISH = 60 << 16 | 40
_END = 0xCE

ContentAt = Callable[[bytes, int, int], tuple[int, int]]
"""Offsets of the body frame and of the end of the simple content that is there for this channel, if it is right."""


def follows(data: bytes, at: int, channel: int) -> bool:
    """Whether a publish of this channel begins here."""
    if len(data) - at < _METHOD.size:
        return False
    kind, number, _, ids = _METHOD.unpack_from(data, at)
    return bool(kind == 1 and number == channel and ids == _PUBLISH)


def take(data: bytes, at: int, medley: Medley, frame_max: int, content_at: ContentAt) -> int:
    """Take what follows from `at` on into the medley; the offset behind it."""
    channel, order, contents = medley.channel, medley.order, medley.contents
    last, alike, end = b"", 0, len(data) - _METHOD.size
    front, size_bytes = b"\0", 0  # of the last content: from the octet before it to its body, and all of it
    while at <= end:
        kind, number, size, ids = _METHOD.unpack_from(data, at)
        if kind != 1 or number != channel or ids != _PUBLISH or size > frame_max > 0:
            break
        content = at + size + 8
        method = data[at + 11 : content - 1]
        same = contents.get(method)
        if same is None and not two_strings_fit(method, 2, 1):
            break
        if data.startswith(front, content - 1):
            behind = content + size_bytes
            if behind > len(data) or data[behind - 1] != _END:
                break
        else:
            body, behind = _look(data, content, medley, content_at)
            if not behind:
                break
            front, size_bytes = data[content - 1 : body], behind - content
        if method != last:
            last, alike = method, 0
        elif alike == ALIKE_MAX:
            break
        alike += 1
        order.append(method)
        if same is None:
            contents[method] = [data[content:behind]]
        else:
            same.append(data[content:behind])
        medley.size_bytes += behind - at
        at = behind
    return at


def _look(data: bytes, at: int, medley: Medley, content_at: ContentAt) -> tuple[int, int]:
    """Where the body of the content at `at` begins, and where it ends; 0 if it cannot be taken in."""
    if at > len(data) or data[at - 1] != _END:
        return 0, 0
    body, behind = content_at(data, at, medley.channel)
    if not body or behind <= 0:
        return 0, 0
    try:
        traits = traits_of_properties(data[at + 19 : body - 1])
    except Malformed:
        return 0, 0
    if traits is not medley.traits and traits != medley.traits:
        return 0, 0
    return min(body + 7, behind), behind
