"""Consumers whose client goes while the master of their queue, on another node, is being asked."""

import pytest
import trio
import trio.testing

from broker.cluster.records import Life, QueueRecord
from broker.meters.traffic import Flow
from broker.vhosts.handle import Handle
from broker.vhosts.subscription import Subscription
from broker.wire import queue_frames as frames
from tests.vhosts.fakes import FakeSwitchboard

RECORD = QueueRecord(1, "/", "q", Life("n2", 1), 10)


class Board(FakeSwitchboard):
    """Questions are answered once `answering` is set."""

    def __init__(self):
        super().__init__()
        self.answering = trio.Event()
        self.asked = []

    async def call(self, peer, fields):
        self.asked.append(fields["do"])
        if fields["do"] == "origin":
            return {"highest": 0, "history": []}, b""
        await self.answering.wait()
        return {}, b""

    def released(self):
        """The numbers of holders that were given up."""
        settled = [frames.decode_settle(payload) for payload in self.take(frames.SETTLE)]
        return [number for _, number, what, *_ in settled if what == frames.RELEASE]


class Outlet:
    outbox_bytes = 0


class Channel:
    """A channel that has room and hears nothing."""

    prefetch_count_global = 0
    outstanding = 0
    outlet = Outlet()
    flow = Flow()


@pytest.fixture
async def handle(nursery):
    handle = Handle(RECORD, Board(), nursery.start_soon)
    handle.serve_at(RECORD)
    await trio.testing.wait_all_tasks_blocked()
    return handle


def subscription_of(handle, number=7):
    facts = {"ack_required": True, "exclusive": False, "arguments": {}, "prefetch_count": 0}
    return Subscription(handle, Channel(), "c", number, **facts)


async def test_a_client_that_goes_while_it_subscribes_leaves_no_consumer_behind(handle, nursery):
    subscription, board = subscription_of(handle), handle._switchboard
    scope = trio.CancelScope()

    async def subscribe():
        with scope:
            await handle.consume(subscription, lambda: None)

    nursery.start_soon(subscribe)
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()
    board.answering.set()
    await trio.testing.wait_all_tasks_blocked()
    for holder in handle.held_by(subscription.channel):  # as its channel closes
        handle.release(holder)
    assert board.released() == [7]


async def test_a_cancelled_consumer_is_forgotten_with_its_last_answer(handle):
    subscription, board = subscription_of(handle), handle._switchboard
    board.answering.set()
    await handle.consume(subscription, lambda: None)
    subscription.outstanding = 2  # messages
    await handle.cancel(subscription)
    handle.settle(subscription, frames.ACKNOWLEDGE, 1, 1)
    assert (board.released(), board.take(frames.CREDIT)[1:]) == ([], [])
    handle.settle(subscription, frames.ACKNOWLEDGE, 2, 2)
    assert board.released() == [7]
    other = subscription_of(handle, 8)
    await handle.consume(other, lambda: None)
    await handle.cancel(other)
    assert board.released() == [8]
    assert not handle.held_by(other.channel)


async def test_a_channel_that_closes_while_its_consumer_follows_the_master_leaves_none_behind(handle):
    subscription, board = subscription_of(handle), handle._switchboard
    board.answering.set()
    await handle.consume(subscription, lambda: None)
    board.answering = trio.Event()
    handle.serve_at(RECORD._replace(term=11, master=Life("n3", 1)))
    await trio.testing.wait_all_tasks_blocked()
    for holder in handle.held_by(subscription.channel):
        handle.release(holder)
    board.released()
    board.answering.set()
    await trio.testing.wait_all_tasks_blocked()
    assert len(board.released()) == 1
    assert not handle.held_by(subscription.channel)
