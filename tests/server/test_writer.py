import pytest
import trio
import trio.testing

from broker.amqp.connection import ServerConnection
from broker.amqp.handshake import Limits
from broker.server.turn import Turn
from broker.server.writer import RELIEF_BYTES, SEND_TIMEOUT_S, SLICE_BYTES, Writer
from tests.server.fakes import FakeSwitchboard


class SlowStream:
    """Takes what `take` lets through; everything written stands in `written`."""

    def __init__(self):
        self.written = bytearray()
        self.writes = []
        self.room = trio.Event()
        self.broken = False

    async def send_all(self, data):
        await self.room.wait()
        if self.broken:
            raise trio.BrokenResourceError
        self.writes.append(bytes(data))
        self.written += data


class PromptStream(SlowStream):
    """Takes `free` bytes without waiting."""

    free = 10**6

    def send_now(self, data):
        count = min(self.free, len(data))
        self.free -= count
        self.written += data[:count]
        self.writes.append(bytes(data[:count]))
        return count

    async def wait_send_all_might_not_block(self):
        await self.room.wait()
        self.free = 10**6


class Starved:
    def __init__(self, connection):
        self.connection = connection
        self.woken = 0

    def wake(self):
        self.woken += 1
        self.connection.send(b"more")


class Bench:
    def __init__(self, stream):
        self.stream = stream
        self.turn = Turn(FakeSwitchboard())
        self.connection = ServerConnection({}, Limits(), lambda: self.turn.has_output(self.writer))
        self.hung_up = []
        self.writer = Writer(stream, self.connection, lambda: self.hung_up.append(True))


@pytest.fixture
async def bench(nursery):
    return await running(SlowStream(), nursery)


async def running(stream, nursery):
    bench = Bench(stream)
    nursery.start_soon(bench.writer.run)
    await trio.testing.wait_all_tasks_blocked()
    return bench


async def test_output_outside_a_turn_wakes_the_writer(bench):
    bench.stream.room.set()
    bench.connection.send(b"one")
    bench.connection.send(b"two")
    await bench.writer.drained()
    assert bench.stream.writes == [b"onetwo"]
    assert bench.connection.outbox_bytes == 0
    assert bench.writer.sent_bytes == 6


async def test_the_outbox_counts_what_has_not_left(bench):
    bench.connection.send(b"x" * 100)
    await trio.testing.wait_all_tasks_blocked()
    bench.connection.send(b"y" * 50)
    assert bench.connection.outbox_bytes == 150
    bench.stream.room.set()
    await bench.writer.drained()
    assert bench.stream.writes == [b"x" * 100, b"y" * 50]


async def test_a_turn_writes_at_its_end_without_waiting(nursery):
    bench = await running(PromptStream(), nursery)
    bench.turn.begin()
    bench.connection.send(b"one")
    bench.connection.send(b"two")
    assert not bench.stream.writes
    bench.turn.end()
    assert bench.stream.writes == [b"onetwo"]
    assert bench.connection.outbox_bytes == 0


async def test_what_the_kernel_does_not_take_is_left_to_the_task(nursery):
    bench = await running(PromptStream(), nursery)
    bench.stream.free = 4
    bench.turn.begin()
    bench.connection.send(b"first message")
    bench.turn.end()
    assert bench.stream.written == b"firs"
    assert bench.connection.outbox_bytes == 9
    bench.turn.begin()
    bench.connection.send(b", second")
    bench.turn.end()
    assert bench.stream.written == b"firs"
    bench.stream.room.set()
    await bench.writer.drained()
    assert bench.stream.written == b"first message, second"


async def test_a_stream_that_only_waits_is_written_by_the_task(bench):
    bench.stream.room.set()
    bench.turn.begin()
    bench.connection.send(b"one")
    bench.turn.end()
    assert not bench.stream.writes
    await bench.writer.drained()
    assert bench.stream.writes == [b"one"]


@pytest.mark.parametrize("kind", [SlowStream, PromptStream])
async def test_starved_consumers_are_woken_when_the_outbox_has_drained(nursery, kind):
    bench = await running(kind(), nursery)
    bench.stream.free = 0
    consumer = Starved(bench.connection)
    bench.turn.begin()
    bench.connection.send(b"x" * (RELIEF_BYTES + 1))
    bench.connection.starved.add(consumer)
    bench.turn.end()
    await trio.testing.wait_all_tasks_blocked()
    assert not consumer.woken
    bench.stream.room.set()
    await bench.writer.drained()
    await trio.testing.wait_all_tasks_blocked()
    assert consumer.woken == 1
    assert bench.stream.written.endswith(b"xmore")


async def test_a_broken_connection_is_hung_up(bench):
    bench.stream.broken = True
    bench.stream.room.set()
    bench.connection.send(b"one")
    await bench.writer.drained()
    await trio.testing.wait_all_tasks_blocked()
    assert bench.hung_up
    bench.connection.send(b"two")
    await bench.writer.drained()


@pytest.mark.parametrize("kind", [SlowStream, PromptStream])
async def test_who_does_not_read_is_hung_up(autojump_clock, nursery, kind):
    bench = await running(kind(), nursery)
    bench.stream.free = 2
    bench.connection.send(b"one")
    await trio.sleep(SEND_TIMEOUT_S - 1)
    assert not bench.hung_up
    await trio.sleep(2)
    assert bench.hung_up


async def test_who_takes_a_little_now_and_then_is_not(autojump_clock, nursery):
    class NarrowStream(PromptStream):
        async def wait_send_all_might_not_block(self):
            await trio.sleep(SEND_TIMEOUT_S - 1)
            self.free = 10

    bench = await running(NarrowStream(), nursery)
    bench.stream.free = 0
    bench.connection.send(bytes(100))
    await bench.writer.drained()
    assert (len(bench.stream.written), bench.hung_up) == (100, [])


async def test_who_reads_slowly_is_not(autojump_clock, nursery):
    class LazyStream(SlowStream):
        async def send_all(self, data):
            await trio.sleep(SEND_TIMEOUT_S - 1)
            self.written += data

    bench = await running(LazyStream(), nursery)
    bench.connection.send(bytes(3 * SLICE_BYTES))
    await bench.writer.drained()
    assert (len(bench.stream.written), bench.hung_up) == (3 * SLICE_BYTES, [])
