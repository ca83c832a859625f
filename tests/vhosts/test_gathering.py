"""What is gathered arrives as if it had not been: the same messages in the same order in every queue, every publish
answered once and rightly; only in fewer runs."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.amqp.confirms import ConfirmLine
from broker.meters.traffic import Flow
from broker.vhosts.gathering import HELD_BYTES_MAX, QUEUES_MANY, QUEUES_MAX, RUN_MESSAGES_MIN, Gathering
from broker.wire.events import Medley, Publish
from broker.wire.message import Run, Traits
from tests.amqp.test_confirms import Client

PLAIN, LASTING = Traits(), Traits(persistent=True)


class FakeChannel:
    transaction = None

    def __init__(self, confirming=True):
        self.flow = Flow()
        self.outlet = self
        self.heard_at = 0.0
        self.line = ConfirmLine(1, lambda: None) if confirming else None

    def open_pending(self, count, since=0.0):
        return None if self.line is None else self.line.open(count, since)


class FakeHandle:
    """Keeps what it gets; `refuses` says of which messages it will have none."""

    deleted = False

    def __init__(self, *, may_wait=True, refuses=lambda content: False):
        self.local, self.may_wait = self, may_wait
        self.refuses = refuses
        self.runs = []

    def publish(self, run, pending):
        self.runs.append(run)
        if pending is None:
            return
        for index, content in enumerate(run.contents):
            if self.refuses(content):
                pending.refuse(index, index + 1)
        pending.answer()

    @property
    def messages(self):
        return [(run.address, run.traits, content) for run in self.runs for content in run.contents]


def method(address):
    return b"\0\0" + address + b"\0"


def medley(*publishes):
    (address, content, traits), *others = publishes
    made = Medley(Publish(1, method(address), traits, [content]))
    for address, content, _ in others:
        made.order.append(method(address))
        made.contents.setdefault(method(address), []).append(content)
    made.size_bytes = sum(len(content) for _, content, _ in publishes)
    return made


def gathering():
    touched = []
    return Gathering(touched.append, lambda _: False, lambda _: False), touched


def test_each_queue_gets_its_messages_in_one_run_at_the_end_of_the_turn():
    held, touched = gathering()
    channel, first, second = FakeChannel(), FakeHandle(), FakeHandle()
    for number in range(3):
        assert held.add(channel, first, method(b"a"), PLAIN, [b"%d" % number])
        assert held.add(channel, second, method(b"b"), PLAIN, [b"x", b"y"])
    assert touched == [held]
    assert first.runs == []
    held.flush()
    assert [run.contents for run in first.runs] == [[b"0", b"1", b"2"]]
    assert [run.contents for run in second.runs] == [[b"x", b"y"] * 3]
    held.flush()
    assert len(first.runs) == 1
    assert held.channel is None


@pytest.mark.parametrize(
    "other",
    [
        (FakeChannel(), 0, b"a", PLAIN),  # nothing is known of the order of two channels, but their confirms are two
        (None, 0, b"b", PLAIN),  # a run has one address
        (None, 0, b"a", LASTING),  # and one set of traits
        (None, 1, b"b", PLAIN),  # somebody waits for what comes to this queue
        (None, 2, b"a", PLAIN),  # a queue of the same name that was declared meanwhile
    ],
)
def test_what_would_be_overtaken_or_kept_waiting_is_not_held(other):
    held, _ = gathering()
    mine, handles = FakeChannel(), [FakeHandle(), FakeHandle(may_wait=False), FakeHandle()]
    assert held.add(mine, handles[0], method(b"a"), PLAIN, [b"1"])
    channel, number, address, traits = other
    assert not held.add(channel or mine, handles[number], method(address), traits, [b"2"])
    held.flush()
    assert [run.contents for run in handles[0].runs] == [[b"1"]]


def test_a_transaction_publishes_at_its_commit_and_nothing_later():
    held, touched = gathering()
    channel = FakeChannel()
    channel.transaction = object()
    assert not held.add(channel, FakeHandle(), method(b"a"), PLAIN, [b"1"])
    assert touched == []


@given(st.integers(0, 2**32), st.booleans())
def test_nobody_sees_that_it_was_gathered(seed, confirming):
    chance = Random(seed)
    held, _ = gathering()
    channel = FakeChannel(confirming)
    handles = [FakeHandle(may_wait=chance.random() < 0.9, refuses=lambda content: content[-1] % 5 == 0)] * 2
    handles += [FakeHandle(may_wait=chance.random() < 0.95) for _ in range(3)]
    expected, client, answers, number = {}, Client(), {}, 0
    for _ in range(chance.randrange(1, 40)):
        traits, ways, publishes = chance.choice((PLAIN, PLAIN, LASTING)), {}, []
        for _ in range(chance.choice((1, 1, 3, 9))):
            index = chance.randrange(5)
            address = b"%d" % (index if chance.random() < 0.9 else 9)
            publishes.append((address, bytes([chance.randrange(256)]), traits))
            handle = ways.setdefault(address, handles[index])
            expected.setdefault(handle, []).append((address, traits, publishes[-1][1]))
            number += 1
            answers[number] = not handle.refuses(publishes[-1][1])
            client.published([number])
        if len(publishes) > 1:
            several = medley(*publishes)
            of = [ways[payload[2:-1]] for payload in several.contents]
            if held.add_medley(channel, several, of):
                continue
            held.publish()
            if held.add_medley(channel, several, of):
                continue
        for address, content, _ in publishes:
            handle = ways[address]
            if not held.add(channel, handle, method(address), traits, [content]):
                held.publish()
                if not held.add(channel, handle, method(address), traits, [content]):
                    pending = channel.open_pending(1)
                    if pending is not None:
                        pending.missing = 1
                    handle.publish(Run([content], address, traits), pending)
    held.flush()
    assert {handle: handle.messages for handle in expected} == expected
    if confirming:
        client.read(channel.line.take_frames())
        assert client.answers == answers
        assert not client.outstanding


def test_more_is_gathered_while_the_disk_is_busy_but_not_without_end():
    busy = [True]
    held = Gathering(lambda _: None, lambda _: busy[0], lambda _: False)
    channel, handle = FakeChannel(), FakeHandle()
    assert held.add(channel, handle, method(b"a"), LASTING, [b"1"])
    held.flush()
    assert held.add(channel, handle, method(b"a"), LASTING, [b"2"])
    held.flush()
    assert handle.runs == []
    busy[0] = False
    held.advance()
    assert [run.contents for run in handle.runs] == [[b"1", b"2"]]
    assert held.add(channel, handle, method(b"a"), LASTING, [bytes(HELD_BYTES_MAX + 1)])
    assert not held.add(channel, handle, method(b"a"), LASTING, [b"4"]), "enough is enough"


def test_so_many_queues_are_enough_for_one_step():
    held = Gathering(lambda _: None, lambda _: True, lambda _: False)
    channel = FakeChannel()
    assert all(held.add(channel, FakeHandle(), method(b"%d" % number), LASTING, [b"1"]) for number in range(QUEUES_MAX))
    assert not held.add(channel, FakeHandle(), method(b"more"), LASTING, [b"1"])


def test_what_is_held_for_a_queue_that_goes_is_answered():
    held = Gathering(lambda _: None, lambda _: True, lambda _: False)
    channel, handle = FakeChannel(), FakeHandle()
    held.add(channel, handle, method(b"a"), LASTING, [b"1"])
    held.flush()
    handle.deleted = True
    held.publish()
    assert handle.runs == []
    client = Client()
    client.published([1])
    client.read(channel.line.take_frames())
    assert client.answers == {1: True}


def test_publishes_that_go_many_ways_are_held_together_or_not_at_all():
    held, _ = gathering()
    channel, waits, other = FakeChannel(), FakeHandle(), FakeHandle()
    both = medley((b"a", b"1", LASTING), (b"b", b"2", LASTING), (b"a", b"3", LASTING))
    assert held.add_medley(channel, both, [waits, other])
    assert not held.add_medley(channel, both, [waits, waits]), "messages of one way to a queue would pass the others"
    assert not held.add_medley(channel, both, [waits, FakeHandle(may_wait=False)])
    assert not held.add_medley(channel, both, [waits, FakeHandle()]), "its name has another queue"
    assert not held.add_medley(FakeChannel(), both, [waits, other])
    assert waits.runs == other.runs == []
    held.flush()
    assert [run.contents for run in (*waits.runs, *other.runs)] == [[b"1", b"3"], [b"2"]]


def test_so_many_queues_at_once_are_too_many():
    held, _ = gathering()
    channel, handles = FakeChannel(), [FakeHandle() for _ in range(QUEUES_MAX + 1)]
    for count, fits in ((QUEUES_MAX, True), (QUEUES_MAX, True), (QUEUES_MAX + 1, False)):
        many = medley(*((b"%d" % number, b"1", PLAIN) for number in range(count)))
        assert held.add_medley(channel, many, handles[:count]) == fits


@pytest.mark.parametrize(
    ("queues", "each", "paused"), [(QUEUES_MANY, 1, 1), (QUEUES_MANY - 1, 1, 0), (QUEUES_MANY, RUN_MESSAGES_MIN, 0)]
)
def test_short_runs_to_many_queues_are_worth_a_moment_but_no_two(queues, each, paused):
    pauses = []
    held = Gathering(lambda _: None, lambda _: False, lambda waiting: not pauses.append(waiting))
    channel, handles = FakeChannel(), [FakeHandle() for _ in range(queues)]
    for number, handle in enumerate(handles):
        assert held.add(channel, handle, method(b"%d" % number), PLAIN, [b"x"] * each)
    held.flush()
    held.flush()
    assert pauses == [held] * paused
    assert bool(handles[0].runs) == (not paused)
    held.advance()
    assert all(len(handle.runs) == 1 for handle in handles)
    assert held.add(channel, handles[0], method(b"0"), PLAIN, [b"y"])
    held.flush()
    assert len(handles[0].runs) == 2, "the next is not kept waiting for that"
