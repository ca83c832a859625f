"""What nodes say to each other about queues, on the data lane: kinds and layouts.

Decides the format only; who may say what, and what follows, is decided where queues live. Frequent frames are packed,
rare ones are JSON.
"""

import json
import struct
from typing import Any

from broker.wire.message import Place, Run
from broker.wire.packed_run import PackedRun, pack_shared, pack_text, unpack_text

OFFER = 64
"""Master to mirror: follow me (JSON)."""
STATEMENT = 65
"""Mirror to master: this is what I hold, or why I refuse (JSON)."""
RECORD = 66
"""Master to mirror: one record of the queue's log, as it stands on disk."""
ACKNOWLEDGED = 67
"""Mirror's node to master's node: everything on your data lane is (received, synced) up to here."""
PUBLISH = 68
"""A publisher's node to the master: a Publish record whose position is the first sequence that it has no answer for."""
ANSWERED = 69
"""Master to a publisher's node: everything of yours is safe up to this sequence."""
REFUSED = 70
"""Master to a publisher's node: these sequences were not taken (overflow)."""
REQUEST = 71
"""One call, answered by RESPONSE with the same number."""
RESPONSE = 72
DELIVER = 73
"""Master to a consumer's node: a Publish record for this consumer."""
CREDIT = 74
"""A consumer's node to the master: so many messages in total this consumer may be given."""
SETTLE = 75
"""A consumer's node to the master: acknowledged, requeued or rejected positions."""
UNAPPLIED = 76
"""Mirror to master: the record that ends at this offset of your stream was not applied; the highest term promised."""
PRESSURE = 77
"""To every node: something here is full, or nothing is any more; their publishers have to wait, too (JSON)."""

REPLY = 78
"""To the node of a reply consumer: its address and a run for it."""
LOAN = 79
"""As CREDIT, for a consumer whose channel has a limit of its own: what cannot be used now is to be given back."""
REPAID = 80
"""Master to a consumer's node: of the loan up to this total nothing is left; whether there are messages for another."""

SETTLED = 81
"""Master to a consumer's node: its answers of this kind up to this number are safe."""
LETTER = 82
"""As PUBLISH, of messages that another queue passes on, with their place there."""

ACKNOWLEDGE, REQUEUE, REJECT, RELEASE = range(4)
"""What a SETTLE does with its positions; RELEASE returns all that the holder has."""

_PAIR = struct.Struct(">QQ")
_TRIPLE = struct.Struct(">QQQ")
_SETTLE = struct.Struct(">QQBQQQ")
_NUMBER = struct.Struct(">I")
_LENGTH = struct.Struct(">II")
_CONSUMER = struct.Struct(">Q")


def encode_json(fields: dict[str, Any]) -> bytes:
    """A rare frame."""
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_json(payload: bytes) -> dict[str, Any]:
    """The fields of a rare frame."""
    fields: dict[str, Any] = json.loads(payload)
    return fields


def encode_pair(left: int, right: int) -> bytes:
    """ACKNOWLEDGED (received, synced) or ANSWERED (queue id, sequence)."""
    return _PAIR.pack(left, right)


def decode_pair(payload: bytes) -> tuple[int, int]:
    """Two numbers."""
    left, right = _PAIR.unpack(payload)
    return left, right


def encode_triple(first: int, second: int, third: int) -> bytes:
    """REFUSED (queue id, first, last), CREDIT and LOAN (queue id, consumer, total), UNAPPLIED (queue id, term, offset),
    REPAID (queue id, consumer, twice the total, and one more if there are messages), SETTLED (queue id, kind,
    number)."""
    return _TRIPLE.pack(first, second, third)


def decode_triple(payload: bytes) -> tuple[int, int, int]:
    """Three numbers."""
    first, second, third = _TRIPLE.unpack(payload)
    return first, second, third


def encode_settle(queue_id: int, holder: int, what: int, first: int, last: int, answer: int = 0) -> bytes:
    """SETTLE; `answer` is the number under which its node waits to hear that it is safe (0: it does not)."""
    return _SETTLE.pack(queue_id, holder, what, first, last, answer)


def decode_settle(payload: bytes) -> tuple[int, int, int, int, int, int]:
    """Queue id, holder, what, first and last position, number of the answer."""
    queue_id, holder, what, first, last, answer = _SETTLE.unpack(payload)
    return queue_id, holder, what, first, last, answer


def encode_request(number: int, fields: dict[str, Any]) -> bytes:
    """REQUEST."""
    return _NUMBER.pack(number) + encode_json(fields)


def decode_request(payload: bytes) -> tuple[int, dict[str, Any]]:
    """Number and fields of a REQUEST."""
    return _NUMBER.unpack_from(payload)[0], decode_json(payload[_NUMBER.size :])


def encode_response(number: int, fields: dict[str, Any], attachment: bytes = b"") -> bytes:
    """RESPONSE; the attachment is a record, if one belongs to the answer."""
    text = encode_json(fields)
    return _LENGTH.pack(number, len(text)) + text + attachment


def decode_response(payload: bytes) -> tuple[int, dict[str, Any], bytes]:
    """Number, fields and attachment of a RESPONSE."""
    number, length = _LENGTH.unpack_from(payload)
    end = _LENGTH.size + length
    return number, decode_json(payload[_LENGTH.size : end]), payload[end:]


def encode_deliver(consumer: int, record: bytes) -> bytes:
    """DELIVER."""
    return _CONSUMER.pack(consumer) + record


def decode_deliver(payload: bytes) -> tuple[int, int]:
    """The consumer of a DELIVER and the offset at which the record begins."""
    return _CONSUMER.unpack_from(payload)[0], _CONSUMER.size


def encode_letter(place: Place, record: bytes) -> bytes:
    """LETTER."""
    return _TRIPLE.pack(*place) + record


def decode_letter(payload: bytes) -> tuple[Place, int]:
    """The place of a LETTER and the offset at which the record begins."""
    return Place(*_TRIPLE.unpack_from(payload)), _TRIPLE.size


def encode_reply(address: str, run: Run) -> bytes:
    """REPLY."""
    return b"".join((pack_text(address), pack_shared(run), *run.contents))


def decode_reply(payload: bytes) -> tuple[str, Run]:
    """Address and run of a REPLY."""
    address, at = unpack_text(payload, 0)
    return address, PackedRun(payload, at).unpack(payload, len(payload))
