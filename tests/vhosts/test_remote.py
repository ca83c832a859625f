"""A master elsewhere, seen from a node with clients: what goes out on the link, and what waits."""

import pytest

from broker.queues.consumers import Consumer
from broker.vhosts import remote as room
from broker.vhosts.publications import Publications
from broker.vhosts.remote import WINDOW_MESSAGES, Remote
from broker.vhosts.settles import Settles
from broker.wire import queue_frames as frames
from broker.wire import records
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakePending, FakeSwitchboard


class Board(FakeSwitchboard):
    """Its calls are answered with `answer`."""

    def __init__(self):
        super().__init__()
        self.answered = {"highest": 0, "history": []}
        self.asked = []
        self.meanwhile = lambda: None

    async def call(self, peer, fields):
        self.asked.append((peer, fields))
        self.meanwhile()
        if self.answered is None:
            return {"highest": fields["answered"], "history": []}, b""
        return self.answered, b""


class Client(Consumer):
    def __init__(self, room=10, *, ack_required=True):
        self.number = 7
        self.ack_required = ack_required
        self.left = room
        self.is_limited = False
        self.got = []

    def room(self):
        return self.left

    def deliver(self, run):
        self.got.append(run)
        self.left -= len(run.contents) if self.ack_required else 0


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def publications(board):
    return Publications(board.origin)


@pytest.fixture
def remote(board, publications):
    return Remote(1, "n2", 10, publications, Settles(), board)


def published(board):
    """(sequence, count, redelivered) of the runs sent since the last call."""
    runs = [records.decode(payload)[0].run for payload in board.take(frames.PUBLISH, "n2")]
    return [(run.sequence, len(run.contents), run.redelivered) for run in runs]


def granted(board):
    return [frames.decode_triple(payload)[2] for payload in board.take(frames.CREDIT, "n2")]


async def test_publications_wait_until_the_master_says_how_far_it_has_them(board, remote):
    remote.publish(run_of("a"), FakePending())
    remote.publish(run_of("early"), None)
    assert published(board) == []
    assert await remote.attach()
    question = {"do": "origin", "queue": 1, "term": 10, "attachment": 1, "origin": "n1/1", "answered": 0}
    question |= {"settles": [], "settled": 0}
    assert board.asked == [("n2", question)]
    assert published(board) == [(1, 1, False), (0, 1, False)], "nobody can have seen them"
    remote.publish(run_of("b"), FakePending())
    remote.publish(run_of("c"), None)
    assert published(board) == [(2, 1, False), (0, 1, False)]


async def test_only_what_the_master_lacks_is_sent_again(board, remote, publications):
    assert await remote.attach()
    for body in "abc":
        remote.publish(run_of(body), FakePending())
    assert published(board) == [(1, 1, False), (2, 1, False), (3, 1, False)]
    board.answered = {"highest": 2, "history": []}
    successor = Remote(1, "n2", 20, publications, Settles(), board)
    successor.publish(run_of("d"), FakePending())
    assert await successor.attach()
    assert published(board) == [(3, 1, True), (4, 1, False)], "no master has ever had the last one"


async def test_what_is_sent_again_is_told_from_what_a_copy_here_holds(board, remote, publications):
    run, position = run_of("a"), 5
    publications.add(run, FakePending()).sent = True
    run.first = position  # where a master here had put it
    assert await remote.attach()
    assert published(board) == [(1, 1, True)]
    assert (run.first, run.redelivered) == (position, False)


async def test_what_was_answered_is_no_gap_for_a_master_that_never_saw_it(board, remote, publications):
    for body in "abc":
        remote.publish(run_of(body), FakePending())
    publications.answered_upto(2)
    board.answered = None  # the master starts from what the question says
    assert await remote.attach()
    assert published(board) == [(3, 1, False)]
    publications.answered_upto(3)
    assert publications.next_unanswered == 4


async def test_what_clients_answer_while_the_master_is_asked_it_is_told_too_but_once(board, publications):
    settles, history = Settles(), [(9, 1)]
    settles.add(frames.ACKNOWLEDGE, history, 1, 1)
    remote = Remote(1, "n2", 10, publications, settles, board)
    late = iter([(3, 3), (5, 5)])
    board.meanwhile = lambda: settles.add(frames.ACKNOWLEDGE, history, *next(late))
    assert await remote.attach()
    told = [(fields["settles"], fields["settled"]) for _, fields in board.asked]
    assert told == [([(frames.ACKNOWLEDGE, history, [(1, 1)])], 1), ([(frames.ACKNOWLEDGE, history, [(3, 3)])], 2)]


async def test_a_master_to_which_the_link_breaks_does_not_count_again_what_came_back(board, publications):
    settles, history = Settles(), [(9, 1)]
    settles.come_back(history, [(1, 2)])
    for term in (10, 10, 20):
        await Remote(1, "n2", term, publications, settles, board).attach()
    told = [fields["settles"] for _, fields in board.asked]
    assert told == [[(frames.RELEASE, history, [(1, 2)])], [], [(frames.RELEASE, history, [(1, 2)])]]


async def test_each_attachment_has_a_number_of_its_own(board, publications):
    one, two = (Remote(1, "n2", 10, publications, Settles(), board) for _ in range(2))
    assert one.attachment < two.attachment


async def test_a_node_that_is_not_master_yet_is_asked_again(board, remote):
    board.answered = {"not_master": True}
    assert not await remote.attach()
    assert not remote.ready


def test_credit_follows_the_consumers_room(board, remote):
    client = Client(room=10)
    remote.wake(client)
    assert granted(board) == [10]
    remote.wake(client)
    assert granted(board) == [], "nothing new"
    remote.deliver(client, run_of("a", "b"))
    client.left += 2  # both were acknowledged
    remote.wake(client)
    assert granted(board) == [], "small change is not worth a frame"
    remote.deliver(client, run_of(*"cdefg"))
    client.left += 5
    remote.wake(client)
    assert granted(board) == [17]


def test_what_is_taken_without_an_acknowledgement_is_answered_for(board, publications):
    settles = Settles()
    remote = Remote(1, "n2", 10, publications, settles, board)
    remote.history = [(10, 1)]
    for first, text, ack_required in ((1, "a", False), (2, "b", True), (3, "c", False)):
        run = run_of(text)
        run.first = first
        remote.deliver(Client(ack_required=ack_required), run)
    assert list(settles.again()) == [(frames.ACKNOWLEDGE, [(10, 1)], [(1, 1), (3, 3)])]


def test_without_acknowledgements_credit_is_renewed_by_deliveries(board, remote):
    client = Client(room=1_000_000, ack_required=False)
    remote.wake(client)
    assert granted(board) == [WINDOW_MESSAGES]
    remote.deliver(client, run_of(*"x" * (WINDOW_MESSAGES // 2)))
    assert granted(board) == [WINDOW_MESSAGES + WINDOW_MESSAGES // 2]


def test_who_may_hold_any_number_gets_more_before_it_answers(board, remote):
    client = Client(room=100)
    remote.wake(client)
    board.take(frames.CREDIT)
    client.left = 2 * WINDOW_MESSAGES  # after the first messages it is known how big they are
    for _ in range(WINDOW_MESSAGES // 100):
        remote.deliver(client, run_of(*"x" * 100))
    assert board.take(frames.CREDIT)


def test_a_cancelled_consumer_is_forgotten_and_may_still_answer(board, remote):
    client = Client()
    remote.wake(client)
    remote.forget(client)
    remote.settle(client, frames.REQUEUE, 3, 4)
    (payload,) = board.take(frames.SETTLE, "n2")
    assert frames.decode_settle(payload) == (1, 7, frames.REQUEUE, 3, 4, 0)


async def test_what_comes_early_without_confirms_is_sent_when_the_master_has_answered(board, remote, monkeypatch):
    monkeypatch.setattr(room, "EARLY_BYTES_MAX", 1)
    remote.publish(run_of("a", "b"), None)
    remote.publish(run_of("c"), None)
    assert published(board) == []
    assert await remote.attach()
    assert [count for _, count, _ in published(board)] == [2], "and no more than there is room for"
    assert await remote.attach()
    assert published(board) == []


class Pair:
    """Two consumers that share the limit of a channel: room that one of them frees is offered to both."""

    def __init__(self, remote, limit):
        self.remote = remote
        self.left = limit
        self.consumers = [Sharer(self), Sharer(self)]

    def wake_starved(self):
        for consumer in self.consumers:
            self.remote.wake(consumer)


class Sharer(Client):
    def __init__(self, channel):
        super().__init__()
        self.channel = channel
        self.is_limited = True

    def room(self):
        return self.channel.left

    def reserve(self, count):
        self.channel.left -= count


def test_a_master_that_is_gone_is_lent_nothing(remote):
    pair = Pair(remote, 5)
    one, other = pair.consumers
    remote.wake(one)
    remote.wake(other)
    assert pair.left == 0
    remote.end()
    assert pair.left == 5, "what the first loan freed was not lent to the second consumer"
    remote.wake(one)
    assert pair.left == 5
