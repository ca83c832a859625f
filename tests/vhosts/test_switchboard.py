import pytest
import trio

from broker.vhosts.switchboard import CONGESTED_BYTES, REQUEST_TIMEOUT_S, PeerLost, Switchboard
from broker.wire import queue_frames as frames
from tests.vhosts.fakes import FakeJournal, FakeLinks


class FakeClock:
    def stamp_ms(self):
        return 5


class Flushed:
    def __init__(self, board, again=None):
        self.board = board
        self.again = again
        self.flushes = 0

    def flush(self):
        self.flushes += 1
        if self.again is not None:
            self.board.touch(self.again)


@pytest.fixture
def board():
    return board_of()


def board_of(node="n1"):
    return Switchboard(
        node=node, life=3, journal=FakeJournal(), links=FakeLinks(), clock=FakeClock(), lease_valid=lambda: True
    )


def test_it_names_this_life_as_origin_and_never_repeats_a_number(board):
    assert (board.origin, board.stamp_ms) == ("n1/3", 5)
    assert len({board.number() for _ in range(100)}) == 100


def test_a_turn_flushes_each_once_and_also_what_that_touches(board):
    second = Flushed(board)
    first = Flushed(board, again=second)
    board.touch(first)
    board.touch(first)
    board.end_turn()
    assert (first.flushes, second.flushes) == (1, 1)
    board.end_turn()
    assert first.flushes == 1


class Waiting:
    def __init__(self):
        self.advances = 0

    def advance(self):
        self.advances += 1


def test_what_waits_for_the_disk_advances_once_as_soon_as_it_has_been_synced(board):
    first, second = Waiting(), Waiting()
    for lsn, waiting in ((10, first), (20, second), (30, first), (40, second)):
        board.advance_at(lsn, waiting)
    board.advance_upto(9)
    assert (first.advances, second.advances) == (0, 0)
    board.advance_upto(30)
    assert (first.advances, second.advances) == (1, 1)
    board.advance_upto(40)
    assert (first.advances, second.advances) == (1, 2)


async def test_turns_end_by_themselves(board, nursery, autojump_clock):
    nursery.start_soon(board.run)
    flushed = Flushed(board)
    await trio.sleep(1)
    board.touch(flushed)
    await trio.sleep(1)
    assert flushed.flushes == 1


def wire(one, other):
    """What one of the two sends the other hears, a tick later."""

    async def carry(sender, receiver):
        while True:
            await trio.sleep(0.001)
            sent, sender.links.sent = sender.links.sent, []
            for _, kind, payload in sent:
                receiver.links.handlers[kind](sender.node, payload, 0)

    return [(carry, one, other), (carry, other, one)]


async def test_a_call_is_served_and_answered(nursery, autojump_clock):
    asking, serving = board_of("n1"), board_of("n2")

    async def double(peer, fields):
        await trio.sleep(1)
        return {"sum": 2 * fields["number"], "peer": peer}, b"attached"

    serving.answer("double", double)
    nursery.start_soon(serving.run)
    for task in wire(asking, serving):
        nursery.start_soon(*task)
    assert await asking.call("n2", {"do": "double", "number": 21}) == ({"sum": 42, "peer": "n1"}, b"attached")


async def test_a_slow_call_does_not_keep_others_waiting(nursery, autojump_clock):
    asking, serving = board_of("n1"), board_of("n2")

    async def wait(peer, fields):
        await trio.sleep(fields["seconds"])
        return {}, b""

    serving.answer("wait", wait)
    nursery.start_soon(serving.run)
    for task in wire(asking, serving):
        nursery.start_soon(*task)
    nursery.start_soon(asking.call, "n2", {"do": "wait", "seconds": 20})
    started = trio.current_time()
    await asking.call("n2", {"do": "wait", "seconds": 0})
    assert trio.current_time() - started < 1


async def test_without_a_link_nobody_is_asked(board):
    board.links.down.add("n2")
    with pytest.raises(PeerLost):
        await board.call("n2", {"do": "anything"})


async def test_who_is_lost_while_asked_answers_nothing(board, nursery, autojump_clock):
    async def lose():
        await trio.sleep(1)
        board.peer_down("n3")
        assert board._calls
        board.peer_down("n2")

    nursery.start_soon(lose)
    with pytest.raises(PeerLost):
        await board.call("n2", {"do": "anything"})
    assert trio.current_time() < 2


async def test_who_never_answers_is_given_up_and_a_late_answer_is_no_harm(board, autojump_clock):
    started = trio.current_time()
    with pytest.raises(PeerLost):
        await board.call("n2", {"do": "anything"})
    assert trio.current_time() - started == pytest.approx(REQUEST_TIMEOUT_S)
    (_, _, request) = board.links.sent[0]
    number, _ = frames.decode_request(request)
    board.links.handlers[frames.RESPONSE]("n2", frames.encode_response(number, {}), 0)


class Waiter:
    woken = 0

    def wake(self):
        self.woken += 1


@pytest.mark.parametrize("holds", [True, False])
async def test_who_waits_for_a_congested_link_is_woken_when_it_has_drained(board, nursery, autojump_clock, holds):
    links, waiter = board.links, Waiter()
    drained = trio.Event()

    async def wait_drained(peer, lane, below_bytes):
        await drained.wait()
        return holds

    links.backlog_bytes = lambda peer: CONGESTED_BYTES + 1 if peer == "n2" else 0
    links.drained = wait_drained
    nursery.start_soon(board.run)
    await trio.sleep(1)
    assert not board.is_congested("n3", waiter)
    assert board.is_congested("n2", waiter)
    assert board.is_congested("n2", waiter)
    drained.set()
    await trio.sleep(1)
    assert waiter.woken == holds
