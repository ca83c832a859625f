import random

from hypothesis import given
from hypothesis import strategies as st

from broker.amqp.confirms import ConfirmLine
from broker.wire.events import Acks, MethodFrame
from broker.wire.frames import FrameReader
from broker.wire.methods import decode


class Client:
    """Reads confirms as a client does: every publish must be answered once, and rightly."""

    def __init__(self):
        self.reader = FrameReader(4096, client=True)
        self.outstanding = set()
        self.answers = {}

    def published(self, numbers):
        self.outstanding |= set(numbers)

    def read(self, frames):
        for event in self.reader.feed(frames):
            if isinstance(event, Acks):
                self.settle(event.first_tag, event.last_tag, event.multiple, True)
            else:
                assert isinstance(event, MethodFrame)
                nack = decode(event.class_id, event.method_id, event.payload)
                self.settle(nack.delivery_tag, nack.delivery_tag, nack.multiple, False)

    def settle(self, first, last, multiple, verdict):
        numbers = {n for n in self.outstanding if n <= last} if multiple else set(range(first, last + 1))
        assert numbers <= self.outstanding
        self.outstanding -= numbers
        self.answers |= dict.fromkeys(numbers, verdict)


@given(st.integers(0, 2**32))
def test_every_publish_is_answered_once_and_rightly_in_any_order_of_answers(seed):
    rng = random.Random(seed)
    line = ConfirmLine(1, lambda: None)
    client, open_, expected = Client(), [], {}
    for _ in range(rng.randrange(1, 30)):
        if rng.random() < 0.5:
            pending = line.open(rng.choice((1, 1, 3, 300)))
            pending.missing = rng.randrange(3)
            numbers = range(pending.first, pending.last + 1)
            expected |= dict.fromkeys(numbers, True)
            client.published(numbers)
            open_ += [pending] * pending.missing
        elif open_:
            pending = open_.pop(rng.randrange(len(open_)))
            if rng.random() < 0.3:
                start = rng.randrange(pending.count)
                stop = rng.randrange(start, pending.count) + 1
                pending.refuse(start, stop)
                expected |= dict.fromkeys(range(pending.first + start, pending.first + stop), False)
            pending.answer()
        if rng.random() < 0.5:
            client.read(line.take_frames())
    for pending in open_:
        assert not line.complete
        pending.answer()
    assert line.complete
    client.read(line.take_frames())
    assert client.answers == expected
    assert not client.outstanding
    assert line.unconfirmed == 0


def test_one_ack_covers_everything_complete_from_the_oldest_on():
    calls = []
    line = ConfirmLine(1, lambda: calls.append(1))
    pendings = [line.open(100) for _ in range(3)]
    for pending in pendings:
        pending.missing = 1
    for pending in pendings:
        pending.answer()
    assert calls
    (ack,) = FrameReader(4096).feed(line.take_frames())
    assert (ack.last_tag, ack.multiple) == (300, True)
    assert line.take_frames() == b""


def test_after_the_end_answers_do_nothing():
    line = ConfirmLine(1, lambda: None)
    pending = line.open(5)
    pending.missing = 1
    line.close()
    pending.answer()
    assert line.take_frames() == b""
