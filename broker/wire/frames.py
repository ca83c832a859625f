"""Cuts received bytes into what the peer did (AMQP 0-9-1 section 2.3).

Decides where frames begin and end, which frames make one message, and what is no longer AMQP. It must not know which
channels are open or what a method means. Everything goes through one general road, frame by frame; where many
messages or acknowledgements of one kind follow each other, `runs.py` takes them in one step, and `medley.py` takes
publishes that go to many queues in turn. `FrameReader(runs=False)` never does, and is the judge of what must come out.
"""

import struct

from broker.wire.content import assemble
from broker.wire.events import (
    Acks,
    Content,
    Delivered,
    Fault,
    Heartbeat,
    Medley,
    MethodFrame,
    Oversize,
    Publish,
    WireEvent,
)
from broker.wire.malformed import Malformed, erlang_binary
from broker.wire.medley import ALIKE_MAX, follows, take
from broker.wire.message import Traits
from broker.wire.method_fields import two_strings_fit
from broker.wire.properties import traits_of_properties
from broker.wire.runs import ACK_SIZE, acknowledged, deliveries, pick, repeats

MESSAGE_BYTES_MAX = 128 * 1024 * 1024

_HEAD = struct.Struct(">BHI")
_HEADER = struct.Struct(">BHIHHQ")
_HEADER_START = struct.Struct(">BH")
_IDS = struct.Struct(">HH")
_TAG = struct.Struct(">Q")
_PUBLISH, _RETURN, _DELIVER, _GET_OK, _ACK = b"\0<\0(", b"\0<\0\x32", b"\0<\0<", b"\0<\0G", b"\0<\0P"
_METHOD, _CONTENT_HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END = 0xCE
_WAIT = -1
"""In place of an offset: not all of the message is there, and what is there looks simple."""
_NO_TRAITS = Traits()
_DOUBTS = 256
"""So many publishes go alone after some that were hardly worth an event together."""
_ENDLESS = 1 << 80
"""Missing of a message whose body was longer than announced."""


class _Assembly:
    """A message of which not all frames have come."""

    __slots__ = ("body", "frame", "header", "ids", "missing", "payload")

    def __init__(self, ids: bytes, payload: bytes) -> None:
        self.ids = ids
        self.payload = payload
        self.header = b""
        self.body = bytearray()
        self.frame = b""
        self.missing = -1  # unknown before the header


class FrameReader:
    """Turns the bytes of one direction of one connection into events; feed it as they come, cut anywhere.

    Holds at most three incomplete frames (a message that has begun) and one incomplete message per channel. `frame_max`
    may be changed at any time.
    """

    def __init__(
        self,
        frame_max: int,
        *,
        client: bool = False,
        runs: bool = True,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self.frame_max = frame_max
        self.assembling: dict[int, _Assembly] = {}
        self._with_content = {_DELIVER, _RETURN, _GET_OK} if client else {_PUBLISH}
        self._runs = runs
        self._message_bytes_max = message_bytes_max
        self._tail = b""
        self._broken = False
        self._doubts = 0

    def feed(self, data: bytes) -> list[WireEvent]:
        """What these bytes complete, in order. A Fault is reported once, as the last event if it is fatal."""
        if self._broken:
            return []
        if self._tail:
            data = self._tail + data
        events: list[WireEvent] = []
        at, end = 0, len(data)
        try:
            while end - at >= 7:
                behind = self._frame(data, at, end, events)
                if behind == at:
                    break
                at = behind
        except Malformed as error:
            self._broken = True
            self._tail = b""
            self.assembling.clear()
            events.append(Fault(error.code, error.why, fatal=True))
            return events
        self._tail = data[at:]
        return events

    def _frame(self, data: bytes, at: int, end: int, events: list[WireEvent]) -> int:
        """Take one frame, or a whole run of them; the offset behind it, or `at` if it is not complete."""
        kind, channel, size = _HEAD.unpack_from(data, at)
        if size > self.frame_max > 0:
            why = f"{{frame_too_large,{size},{self.frame_max - 8}}}"
            raise Malformed(501, f"type {kind}, all octets = <<>>: {why}")
        behind: int = at + size + 8
        if behind > end:
            return at
        if data[behind - 1] != _END:
            why = f"{{invalid_frame_end_marker,{data[behind - 1]}}}"
            raise Malformed(501, f"type {kind}, {_snippet(data[at + 7 : behind - 1])}: {why}")
        if kind == _METHOD and size >= 4:
            return self._method(data, at, behind, channel, events)
        payload = data[at + 7 : behind - 1]
        if kind == _HEARTBEAT and not payload:
            if channel:
                events.append(Fault(505, f"type 8, {_snippet(b'')}", fatal=False))
            else:
                events.append(Heartbeat())
        elif (kind == _CONTENT_HEADER and size >= 14) or kind == _BODY:
            if not channel:
                events.append(Fault(505, f"type {kind}, {_snippet(payload)}", fatal=False))
                return behind
            self._content_frame(kind, channel, data[at:behind], events)
        else:
            events.append(Fault(501, f"type {kind}, {_snippet(payload)}: unknown_frame", fatal=False))
        return behind

    def _method(self, data: bytes, at: int, behind: int, channel: int, events: list[WireEvent]) -> int:
        if channel in self.assembling:
            self._unexpected(channel, "non content header" if self.assembling[channel].missing < 0 else "", events)
            return behind
        ids = data[at + 7 : at + 11]
        payload = data[at + 11 : behind - 1]
        if ids in self._with_content and channel:
            if self._runs:
                taken = at
                if ids == _PUBLISH:
                    taken = self._publishes(data, at, behind, channel, events)
                elif ids == _DELIVER:
                    taken = self._deliveries(data, at, behind, channel, events)
                if taken != at:
                    return at if taken == _WAIT else taken
            try:
                _check_content_method(ids, payload)
            except Malformed as error:
                events.append(Fault(error.code, error.why, fatal=False, publishing=ids == _PUBLISH))
                return behind
            self.assembling[channel] = _Assembly(ids, payload)
        elif ids == _ACK and len(payload) == 9:
            return self._acks(data, at, channel, payload, events)
        else:
            class_id, method_id = _IDS.unpack(ids)
            events.append(MethodFrame(channel, class_id, method_id, payload))
        return behind

    def _acks(self, data: bytes, at: int, channel: int, payload: bytes, events: list[WireEvent]) -> int:
        tag = int.from_bytes(payload[:8], "big")
        multiple = bool(payload[8] & 1)
        more = acknowledged(data, at, tag) if self._runs and not multiple and tag else 0
        events.append(Acks(channel, tag, tag + more, multiple))
        return at + (more + 1) * ACK_SIZE

    def _publishes(self, data: bytes, at: int, behind: int, channel: int, events: list[WireEvent]) -> int:
        """Take all whole messages from `at` on that have this very method frame and equal traits.

        Returns `at` if the first of them has more than one body frame or is wrong in any way: the general road will
        see to it; and _WAIT if it is only not whole, so that it begins the next run instead of being one of its own.
        """
        method = data[at:behind]
        skip = behind - at
        payload = method[11:-1]
        contents: list[bytes] = []
        traits: Traits | None = None
        more_to_come = True
        while more_to_come:
            body, behind = self._simple_content(data, at + skip, channel)
            if not behind or (behind == _WAIT and contents):
                break
            try:
                if traits is None:
                    _check_content_method(_PUBLISH, payload)
                found = traits_of_properties(data[at + skip + 19 : body - 1]) if body else _NO_TRAITS
            except Malformed:
                break
            if behind == _WAIT:
                return _WAIT
            if traits is None:
                traits = found
            if found is not traits and found != traits:
                events.append(Publish(channel, payload, traits, contents))
                contents, traits = [], found
            contents.append(data[at + skip : behind])
            more_to_come = data.startswith(method, behind)
            head = body + 7 if body < behind else behind
            if more_to_come and data.startswith(data[at:head], behind):
                stride = behind - at
                more = repeats(data, at, head - at, stride)
                contents += pick(data, behind, skip, stride - skip, more)
                at = behind + more * stride
                more_to_come = data.startswith(method, at)
            else:
                at = behind
        if traits is not None:
            run = Publish(channel, payload, traits, contents)
            if len(contents) <= ALIKE_MAX and not data.startswith(method, at) and follows(data, at, channel):
                if self._doubts:
                    self._doubts -= 1
                else:
                    medley = Medley(run)
                    behind = take(data, at, medley, self.frame_max, self._simple_content)
                    if len(medley.order) < ALIKE_MAX and behind < len(data) // 2:
                        self._doubts = _DOUBTS  # it was not for want of data: their traits differ
                    if behind != at:
                        events.append(medley)
                        return behind
            events.append(run)
        return at

    def _deliveries(self, data: bytes, at: int, behind: int, channel: int, events: list[WireEvent]) -> int:
        """Take the delivery at `at` and all that follow with the same sizes and the next tags; `at` if not whole."""
        payload = data[at + 11 : behind - 1]
        _check_content_method(_DELIVER, payload)
        tag_at = 1 + payload[0]
        body, content_end = self._simple_content(data, behind, channel)
        if not content_end:
            return at
        if body:
            traits_of_properties(data[behind + 19 : body - 1])
        if content_end == _WAIT:
            return _WAIT
        tag = _TAG.unpack_from(payload, tag_at)[0]
        stride, skip = content_end - at, behind - at
        more = deliveries(data, at, 11 + tag_at, min(body + 7, content_end) - at, stride, tag)
        contents = pick(data, at, skip, stride - skip, more + 1)
        events.append(_delivered(channel, payload, contents))
        return at + stride * (more + 1)

    def _simple_content(self, data: bytes, at: int, channel: int) -> tuple[int, int]:
        """Offsets of the body frame and of the end of the content at `at`, if it has one body frame at most.

        The end is 0 if the content is not simple or not right, _WAIT if it is not whole; the body frame is 0 if the
        header is not whole.
        """
        room = len(data) - at
        if room < 22:
            start = _HEADER_START.pack(_CONTENT_HEADER, channel)
            return 0, _WAIT if start.startswith(data[at : at + 3]) and room < 7 else 0
        kind, number, size, class_id, weight, length = _HEADER.unpack_from(data, at)
        body = at + size + 8
        behind = body + length + 8 if length else body
        if (
            kind != _CONTENT_HEADER
            or number != channel
            or class_id != 60
            or weight
            or size < 14
            or size > self.frame_max > 0
            or length > self.frame_max > 0
            or length > self._message_bytes_max
        ):
            return 0, 0
        if behind > len(data):
            return self._beginning(data, body, channel, length)
        if (
            data[body - 1] != _END
            or data[behind - 1] != _END
            or (length and _HEAD.unpack_from(data, body) != (_BODY, channel, length))
        ):
            return 0, 0
        return body, behind

    def _beginning(self, data: bytes, body: int, channel: int, length: int) -> tuple[int, int]:
        """As `_simple_content`, of a content whose header was right so far and which is not whole."""
        if body > len(data):
            return 0, _WAIT
        if data[body - 1] == _END and _HEAD.pack(_BODY, channel, length).startswith(data[body : body + 7]):
            return body, _WAIT
        return 0, 0

    def _content_frame(self, kind: int, channel: int, frame: bytes, events: list[WireEvent]) -> None:
        assembly = self.assembling.get(channel)
        if assembly is None:
            events.append(Fault(505, "expected method frame, got non method frame instead", fatal=False))
        elif assembly.missing < 0 and kind == _CONTENT_HEADER:
            self._header(channel, assembly, frame, events)
        elif assembly.missing > 0 and kind == _BODY:
            self._body(channel, assembly, frame, events)
        else:
            self._unexpected(channel, "non content header" if kind == _BODY else "", events)

    def _header(self, channel: int, assembly: _Assembly, frame: bytes, events: list[WireEvent]) -> None:
        class_id, weight, length = struct.unpack_from(">HHQ", frame, 7)
        if class_id != 60 or weight:
            self._unexpected(channel, "non content header" if weight else f"one for class {class_id}", events)
            return
        traits_of_properties(frame[19:-1])
        assembly.header = frame
        assembly.missing = length
        if length > self._message_bytes_max:
            assembly.header = b""
            events.append(Oversize(channel, length))
        elif not length:
            self._complete(channel, assembly, events)

    def _body(self, channel: int, assembly: _Assembly, frame: bytes, events: list[WireEvent]) -> None:
        length = len(frame) - 8
        if length > assembly.missing:
            # RabbitMQ waits for an end that cannot come, until something else does; here nothing is kept meanwhile
            assembly.header, assembly.body, assembly.missing = b"", bytearray(), _ENDLESS
        assembly.missing -= length
        if not assembly.header:  # of a message that is too large
            if not assembly.missing:
                del self.assembling[channel]
        elif not assembly.missing and not assembly.body:
            assembly.frame = frame
            self._complete(channel, assembly, events)
        else:
            assembly.body += memoryview(frame)[7:-1]
            if not assembly.missing:
                self._complete(channel, assembly, events)

    def _complete(self, channel: int, assembly: _Assembly, events: list[WireEvent]) -> None:
        del self.assembling[channel]
        if assembly.body:
            properties = assembly.header[19:-1]
            content = assemble(channel, properties, assembly.body, self.frame_max)
        else:
            content = assembly.header + assembly.frame
        if assembly.ids == _PUBLISH:
            traits = traits_of_properties(assembly.header[19:-1])
            events.append(Publish(channel, assembly.payload, traits, [content]))
        elif assembly.ids == _DELIVER:
            events.append(_delivered(channel, assembly.payload, [content]))
        else:
            class_id, method_id = _IDS.unpack(assembly.ids)
            events.append(Content(channel, class_id, method_id, assembly.payload, content))

    def _unexpected(self, channel: int, got: str, events: list[WireEvent]) -> None:
        """A frame that does not go on with the message of this channel: forget the message and say so."""
        del self.assembling[channel]
        if got:
            kind = got if got.startswith("one") else f"{got} frame"
            why = f"expected content header for class 60, got {kind} instead"
        else:
            why = "expected content body, got non content body frame instead"
        events.append(Fault(505, why, fatal=False, publishing=True))


def _delivered(channel: int, payload: bytes, contents: list[bytes]) -> Delivered:
    tag_at = 1 + payload[0]
    tag = _TAG.unpack_from(payload, tag_at)[0]
    return Delivered(channel, payload[1:tag_at], tag, bool(payload[tag_at + 8] & 1), payload[tag_at + 9 :], contents)


def _check_content_method(ids: bytes, payload: bytes) -> None:
    """Publish and deliver are not decoded further on: see here that their short strings fit.

    They need not be UTF-8: RabbitMQ does not look either.
    """
    if ids == _PUBLISH:
        strings, tail = 2, 1
    elif ids == _DELIVER:
        strings, tail = 1 + (payload[0] if payload else 0) + 9, 0
    else:
        return
    if not two_strings_fit(payload, strings, tail):
        raise Malformed(501, f"cannot decode {erlang_binary(payload[:64])}")


def _snippet(payload: bytes) -> str:
    """The first octets as RabbitMQ prints them."""
    return f"{'all' if len(payload) <= 16 else 'first 16'} octets = {erlang_binary(payload[:16])}"
