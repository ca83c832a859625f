import gc
import weakref

import trio

from broker.vhosts.timers import Timers
from tests.vhosts.fakes import FakeSwitchboard


class VirtualBoard(FakeSwitchboard):
    """Its wall clock goes with trio's."""

    def __init__(self):
        super().__init__()
        del self.stamp_ms

    def __getattr__(self, name):
        if name == "stamp_ms":
            return int(trio.current_time() * 1000)
        raise AttributeError(name)


class Local:
    """Its queue is due at `due_ms`, and then never again."""

    def __init__(self, due_ms):
        self.queue = self
        self.due_ms = due_ms
        self.ticks = []

    def deadline_ms(self):
        return self.due_ms

    def tick(self, stamp_ms):
        self.ticks.append(stamp_ms)
        self.due_ms = None


async def test_each_queue_is_ticked_when_it_is_due(autojump_clock, nursery):
    timers = Timers(VirtualBoard())
    nursery.start_soon(timers.run)
    late, early, never = Local(2000), Local(1000), Local(None)
    for local in (late, early, never):
        timers.watch(local)
    await trio.sleep(5)
    assert (early.ticks, late.ticks, never.ticks) == ([1000], [2000], [])


async def test_a_deadline_that_moves_counts_where_it_is_now(autojump_clock, nursery):
    timers = Timers(VirtualBoard())
    nursery.start_soon(timers.run)
    local = Local(4000)
    timers.watch(local)
    await trio.sleep(1)
    local.due_ms = 2000
    timers.watch(local)
    timers.watch(local)
    await trio.sleep(5)
    assert local.ticks == [2000]


async def test_what_is_due_already_is_ticked_at_once(autojump_clock, nursery):
    timers = Timers(VirtualBoard())
    nursery.start_soon(timers.run)
    await trio.sleep(1)
    local = Local(0)
    timers.watch(local)
    await trio.sleep(0.001)
    assert local.ticks == [1000]


async def test_deadlines_that_move_leave_little_behind(autojump_clock, nursery):
    timers = Timers(VirtualBoard())
    nursery.start_soon(timers.run)
    first, busy = Local(1_000_000), Local(None)
    timers.watch(first)
    for due_ms in range(2_000_000, 2_010_000):
        busy.due_ms = due_ms
        timers.watch(busy)
    await trio.sleep(1)
    assert len(timers._heap) < 2000
    await trio.sleep(3000)
    assert (first.ticks, busy.ticks) == ([1_000_000], [2_009_999])


async def test_a_master_that_has_gone_is_not_kept(autojump_clock, nursery):
    timers = Timers(VirtualBoard())
    nursery.start_soon(timers.run)
    local = Local(1000)
    timers.watch(local)
    timers.forget(local)
    timers.forget(local)
    gone = weakref.ref(local)
    del local
    gc.collect()
    assert gone() is None
    await trio.sleep(5)


async def test_a_wall_clock_that_is_set_does_not_use_up_the_time_of_a_queue(autojump_clock, nursery):
    class Board(VirtualBoard):
        off_ms = 0

        def __getattr__(self, name):
            return super().__getattr__(name) + self.off_ms

    class Unused:
        def __init__(self, local):
            self.local = local

        def clock_jumped(self, by_ms):
            self.local.due_ms += by_ms

    board, local = Board(), Local(30_000)
    local.unused = Unused(local)
    timers = Timers(board)
    timers.watch(local)
    nursery.start_soon(timers.run)
    await trio.sleep(12)
    board.off_ms = 3_600_000
    await trio.sleep(12)
    assert local.ticks == []
    board.off_ms = -3_600_000
    await trio.sleep(5)
    assert local.ticks == []
    await trio.sleep(5)
    assert len(local.ticks) == 1
