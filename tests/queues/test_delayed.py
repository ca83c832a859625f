"""The discipline of waiting: what is due, in which order, also after a restart, and at what cost."""

from random import Random

from broker.queues.counters import Counters
from broker.queues.delayed import AT_ONCE_MAX, UNDER_WAY_MAX, Delays
from broker.queues.departures import Departures
from broker.queues.line import Line
from broker.queues.page import Page
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.wire.content import make_content
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of

SETTINGS = Settings(delays=True, dead_letter_exchange="late")


def run_of(*delays, first=0, stamp_ms=0):
    contents = [make_content(1, Properties(headers={"x-delay": delay}), b"", 4096) for delay in delays]
    return Run(contents, make_address("late", "k"), traits_of(contents[0]), first=first, stamp_ms=stamp_ms)


def released(queue):
    """Positions that have left, in the order of leaving."""
    return [dead.run.first + index for dead in queue.take_dead() for index in range(len(dead.run.contents))]


def test_each_message_is_due_by_its_own_delay_from_when_it_came():
    queue = Queue(SETTINGS, logged=True)
    queue.publish(run_of(50, 20, 20, 90), 1000)
    queue.publish(run_of(10), 1010)
    assert queue.deadline_ms() == 1020
    queue.tick(1019)
    assert released(queue) == []
    queue.tick(1020)
    assert released(queue) == [2, 3, 5]
    assert queue.deadline_ms() == 1050
    queue.tick(1100)
    assert released(queue) == [1, 4]
    assert queue.deadline_ms() is None


def test_a_message_stays_in_the_log_until_it_is_safe_elsewhere():
    queue = Queue(SETTINGS, logged=True)
    queue.publish(run_of(10, 10), 0)
    queue.tick(10)
    assert queue.living_ranges() == [(1, 2)]
    assert queue.take_settled() == []
    queue.settle_dead(2, 2)
    assert queue.living_ranges() == [(1, 1)]
    assert queue.take_settled() == [(2, 2)]


def test_a_successor_knows_from_the_line_alone():
    line = Line([run_of(50, 20, first=4, stamp_ms=1000), run_of(5, first=9, stamp_ms=2000)])
    queue = Queue(SETTINGS, logged=True, line=line, next_position=10)
    assert queue.deadline_ms() == 1020
    queue.tick(1030)
    assert released(queue) == [5]
    queue.tick(9000)
    assert released(queue) == [4, 9]


def test_its_own_time_to_live_does_not_count_while_it_waits():
    content = make_content(1, Properties(headers={"x-delay": 50}, expiration="1"), b"", 4096)
    queue = Queue(SETTINGS, logged=False)
    queue.publish(Run([content], make_address("late", "k"), traits_of(content)), 0)
    queue.tick(49)
    assert released(queue) == []
    queue.tick(50)
    assert released(queue) == [1]


def test_one_tick_takes_only_so_many():
    queue = Queue(SETTINGS, logged=False)
    queue.publish(run_of(*[10] * (AT_ONCE_MAX + 5)), 0)
    queue.publish(run_of(9), 0)
    queue.tick(20)
    assert released(queue) == [AT_ONCE_MAX + 6, *range(1, AT_ONCE_MAX)]
    assert queue.deadline_ms() == 10  # the next tick is due at once
    queue.tick(20)
    assert released(queue) == [*range(AT_ONCE_MAX, AT_ONCE_MAX + 6)]


def test_no_more_are_under_way_than_somebody_can_hold():
    queue = Queue(SETTINGS, logged=False)
    count = UNDER_WAY_MAX + 10
    for _ in range(0, count, 2):
        queue.publish(run_of(10, 20), 0)
    gone = []
    while queue.deadline_ms() is not None:
        queue.tick(30)
        gone += released(queue)
    assert len(gone) == UNDER_WAY_MAX
    queue.tick(30)
    assert released(queue) == []
    for position in gone[:3]:
        queue.settle_dead(position, position)
    assert queue.deadline_ms() is not None
    queue.tick(30)
    assert len(released(queue)) == 3


def test_what_waits_for_a_queue_without_a_master_keeps_nothing_else_waiting():
    queue = Queue(SETTINGS, logged=False)
    queue.publish(run_of(*[10] * UNDER_WAY_MAX), 0)
    queue.publish(run_of(20), 0)
    while queue.messages_ready > 1:
        queue.tick(15)
        for dead in queue.take_dead():
            queue.keep_dead(dead)
    queue.tick(20)
    assert released(queue) == [UNDER_WAY_MAX + 1]


def test_what_has_gone_otherwise_is_passed_over():
    line = Line([run_of(10, 20, first=1)])
    delays = Delays(Departures(Counters(), logged=False))
    delays.watch(line.runs())
    line.remove(1, 1)
    assert [run.first for run in delays.take_due([line], 30)] == [2]
    assert delays.next_due_ms([line]) is None


def test_any_order_of_delays_comes_out_sorted():
    chance = Random(1)
    delays = [chance.randrange(1, 400) for _ in range(500)]
    queue = Queue(SETTINGS, logged=False)
    for start in range(0, 500, 5):
        queue.publish(run_of(*delays[start : start + 5]), 0)
    order = []
    for stamp in range(401):
        queue.tick(stamp)
        order += released(queue)
    assert order == [position + 1 for position in sorted(range(500), key=lambda index: (delays[index], index))]
    assert queue.messages_ready == 0


def load(runs, first, last):
    """What a journal has of these positions."""
    parts = [(run, max(first, run.first), min(last, run.last)) for run in runs]
    return [run.cut(begin - run.first, end + 1 - run.first) for run, begin, end in parts if begin <= end]


def test_delays_are_known_also_of_what_is_not_in_memory():
    queue = Queue(SETTINGS, logged=True)
    runs = [run_of(50, 20, 20, 90), run_of(10)]
    for run in runs:
        queue.publish(run, 1000)
    assert len(queue.page_out(1)) == 2
    assert queue.wanted() is None
    assert queue.deadline_ms() == 1010
    queue.tick(1050)
    letters = queue.take_dead()
    assert [(dead.page.first, dead.page.last) for dead in letters] == [(5, 5), (2, 3), (1, 1)]
    (again,) = letters[1].loaded(runs)
    assert again.run.contents == runs[0].contents[1:3]
    queue.settle_dead(2, 3)
    assert queue.living_ranges() == [(1, 1), (4, 5)]


def test_a_successor_reads_each_delay_once():
    runs = [run_of(50, 20, first=4, stamp_ms=1000), run_of(5, first=9, stamp_ms=2000), run_of(7, 8, first=10)]
    queue = Queue(SETTINGS, logged=True, line=Line(map(Page.of, runs)), next_position=12)
    assert queue.wanted() == (4, 11)
    queue.tick(1020)
    assert queue.deadline_ms() is None
    queue.page_in(load(runs, 4, 4) + load(runs, 9, 10))  # in part
    assert queue.wanted() == (5, 5)
    queue.page_in(load(runs, 3, 9))
    queue.page_out(1)
    assert queue.wanted() == (11, 11)
    queue.purge()
    assert queue.wanted() is None
    queue = Queue(SETTINGS, logged=True, line=Line(map(Page.of, runs)), next_position=12)
    while (wanted := queue.wanted()) is not None:
        queue.page_in(load(runs, *wanted)[:1])
        queue.page_out(1)
    assert queue.paged_messages == 5
    gone = []
    for stamp_ms in (7, 8, 1020, 1050, 2005):
        assert queue.deadline_ms() == stamp_ms
        queue.tick(stamp_ms)
        gone += [dead.page.first for dead in queue.take_dead()]
    assert gone == [10, 11, 5, 4, 9]
    assert queue.deadline_ms() is None


def test_a_load_of_the_middle_leaves_both_sides_to_be_read():
    run = run_of(50, 20, 30, first=4)
    queue = Queue(SETTINGS, logged=True, line=Line([Page.of(run)]), next_position=7)
    queue.page_in(load([run], 5, 5))
    assert queue.wanted() == (4, 4)
    queue.page_in(load([run], 4, 4))
    assert queue.wanted() == (6, 6)
