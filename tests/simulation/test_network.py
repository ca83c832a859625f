"""The network of dice keeps TCP's promises: order, bounds, silence behind a cut, a reset after a kill."""

from random import Random

import pytest
import trio
import trio.testing

from broker.world.network import Refused, Unreachable
from tests.simulation.network import SimNetwork
from tests.simulation.scheduler import seeded_scheduler
from tests.simulation.virtual_time import VirtualTime


async def connected(network, one="one", two="two"):
    """Both ends of a connection that `one` dialled."""
    listener = await network.host(two).listen(f"{two}:0")
    dialled = await network.host(one).dial(listener.address, 5)
    return dialled, await listener.accept(), listener


async def read(stream, count):
    data = b""
    while len(data) < count:
        data += await stream.receive_some(count - len(data))
    return data


async def read_until_broken(stream):
    data = b""
    while True:
        try:
            data += await stream.receive_some()
        except trio.BrokenResourceError:
            return data


@pytest.mark.parametrize("seed", range(10))
async def test_bytes_come_in_order_late_and_cut_anywhere(autojump_clock, seed):
    network = SimNetwork(Random(seed), delay_s=(0.001, 0.1))
    one, two, _ = await connected(network)
    sent = [bytes(f"message {number};", "ascii") for number in range(100)]
    started = trio.current_time()
    for piece in sent:
        await one.send_all(piece)
    first = await two.receive_some()
    assert 0.001 <= trio.current_time() - started <= 0.1
    expected = b"".join(sent)
    assert first + await read(two, len(expected) - len(first)) == expected


async def test_both_directions_at_once(autojump_clock):
    one, two, _ = await connected(SimNetwork(Random(1)))
    await one.send_all(b"ping")
    await two.send_all(b"pong")
    assert await read(two, 4) == b"ping"
    assert await read(one, 4) == b"pong"


async def test_a_pipe_is_bounded(autojump_clock):
    one, two, _ = await connected(SimNetwork(Random(1), capacity_bytes=1000))
    with trio.move_on_after(10) as scope:
        await one.send_all(bytes(1001))
    assert scope.cancelled_caught
    await read(two, 1000)
    await one.send_all(bytes(1000))


async def test_the_end_comes_after_everything_that_was_said(autojump_clock):
    one, two, _ = await connected(SimNetwork(Random(1)))
    await one.send_all(b"last words")
    await one.aclose()
    assert await read(two, 10) == b"last words"
    assert await two.receive_some() == b""
    assert await two.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await two.send_all(b"anybody?")
    with pytest.raises(trio.ClosedResourceError):
        await one.receive_some()


async def test_whoever_waits_on_a_stream_hears_that_it_was_closed(autojump_clock):
    one, _, listener = await connected(SimNetwork(Random(1)))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait_for_bytes():
            with pytest.raises(trio.ClosedResourceError):
                await one.receive_some()

        @nursery.start_soon
        async def wait_for_a_connection():
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()

        await trio.sleep(1)
        one.close_now()
        listener.close_now()


@pytest.mark.parametrize("one_way", [False, True])
async def test_a_cut_holds_back_and_healing_lets_through(autojump_clock, one_way):
    network = SimNetwork(Random(1))
    one, two, _ = await connected(network)
    await one.send_all(b"under way")
    network.cut("one", "two", one_way=one_way)
    await one.send_all(b", held back")
    await two.send_all(b"answer")
    with trio.move_on_after(60) as scope:
        await two.receive_some()
    assert scope.cancelled_caught
    with trio.move_on_after(60) as scope:
        assert await read(one, 6) == b"answer"
    assert scope.cancelled_caught is not one_way
    network.heal()
    assert await read(two, 20) == b"under way, held back"


async def test_nobody_connects_through_a_cut(autojump_clock):
    network = SimNetwork(Random(1))
    listener = await network.host("two").listen("two:1")
    network.cut("two", "one", one_way=True)
    with pytest.raises(Unreachable):
        await network.host("one").dial(listener.address, 5)
    network.kill("two")
    with pytest.raises(Unreachable):
        await network.host("one").dial(listener.address, 5)
    network.heal()
    with pytest.raises(Refused):
        await network.host("one").dial(listener.address, 5)


async def test_a_killed_host_breaks_its_connections_and_refuses(autojump_clock):
    heard = set()
    for seed in range(30):
        network = SimNetwork(Random(seed))
        one, two, listener = await connected(network)
        for word in (b"a", b"b", b"c"):
            await two.send_all(word)
        network.kill("two")
        heard.add(await read_until_broken(one))
        with pytest.raises(trio.BrokenResourceError):
            await one.send_all(b"anybody?")
        with trio.move_on_after(60) as scope:
            await two.receive_some()
        assert scope.cancelled_caught, "the dead do not learn that they are"
        with pytest.raises(Refused):
            await network.host("one").dial(listener.address, 5)
        one.close_now()
        assert not network.pipes
    assert heard == {b"", b"a", b"ab", b"abc"}, "what was under way arrives up to some point"


async def test_a_connection_that_breaks_is_reset_at_both_ends(autojump_clock):
    network = SimNetwork(Random(1))
    one, two, listener = await connected(network)
    await one.send_all(b"ping")
    await two.send_all(b"pong")
    network.sever("one", "two")
    assert b"ping".startswith(await read_until_broken(two))
    assert b"pong".startswith(await read_until_broken(one))
    await network.host("one").dial(listener.address, 5)


async def test_a_kill_behind_a_cut_is_seen_after_it(autojump_clock):
    network = SimNetwork(Random(1))
    one, _, _ = await connected(network)
    network.cut("one", "two")
    network.kill("two")
    with trio.move_on_after(60) as scope:
        await one.receive_some()
    assert scope.cancelled_caught
    await one.send_all(b"nobody knows")
    network.heal()
    with pytest.raises(trio.BrokenResourceError):
        await one.receive_some()


async def test_a_frozen_host_is_silent_but_its_kernel_is_not(autojump_clock):
    network = SimNetwork(Random(1))
    one, two, listener = await connected(network)
    await two.send_all(b"before")
    network.freeze("two")
    assert await read(one, 6) == b"before"
    await one.send_all(b"meanwhile")
    late = await network.host("one").dial(listener.address, 5)
    heard = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def frozen_reader():
            heard.append(await read(two, 9))

        @nursery.start_soon
        async def frozen_writer():
            await two.send_all(b"after")
            heard.append("sent")

        @nursery.start_soon
        async def frozen_listener():
            heard.append(await listener.accept())

        await trio.sleep(60)
        assert heard == []
        network.thaw("two")
    assert b"meanwhile" in heard
    assert "sent" in heard
    assert await read(one, 5) == b"after"
    late.close_now()


async def test_ports(autojump_clock):
    network = SimNetwork(Random(1))
    one, two = network.host("one"), network.host("two")
    first, second = await one.listen("one:0"), await two.listen("two:0")
    assert first.address != second.address
    with pytest.raises(OSError, match="in use"):
        await two.listen(first.address)
    first.close_now()
    await two.listen(first.address)
    with pytest.raises(Refused):
        await one.dial("nowhere:1", 5)


def test_one_seed_one_story():
    def story(seed):
        told = []

        async def talk():
            network = SimNetwork(Random(seed), delay_s=(0.001, 0.1))
            started = trio.current_time()
            async with trio.open_nursery() as nursery:
                for number in range(5):

                    async def chat(number=number):
                        one, two, _ = await connected(network, f"one{number}", f"two{number}")
                        for _ in range(5):
                            await one.send_all(b"hello")
                            told.append((number, round(trio.current_time() - started, 6), await two.receive_some()))

                    nursery.start_soon(chat)

        with seeded_scheduler(seed):
            trio.run(talk, clock=trio.testing.MockClock(autojump_threshold=0))
        return told

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_a_reader_wakes_when_something_has_arrived_and_a_writer_when_there_is_room():
    """And not for what is only under way, nor for what the other one does."""
    steps = {}

    async def main():
        network = SimNetwork(Random(1), delay_s=(1.0, 1.0), capacity_bytes=1)
        one, two, _ = await connected(network)

        async def count(name, work):
            task = trio.lowlevel.current_task()
            before = task._schedule_points
            await work()
            steps[name] = task._schedule_points - before

        async def read_both():
            while await two.receive_some() != b"":
                pass

        async def write_both():
            one.send_now(b"a")
            await one.wait_send_all_might_not_block()
            one.send_now(b"b")
            one.close_now()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count, "reads", read_both)
            nursery.start_soon(count, "writes", write_both)

    with seeded_scheduler(1):
        trio.run(main, clock=VirtualTime())
    assert steps == {"writes": 1, "reads": 3}


async def test_what_is_sent_at_once_is_bounded_and_breaks_silently(autojump_clock):
    network = SimNetwork(Random(1), capacity_bytes=4)
    one, two, _ = await connected(network)
    assert one.send_now(b"abcdef") == 4
    assert one.send_now(b"ef") == 0
    assert await read(two, 4) == b"abcd"
    network.freeze("one")
    assert one.send_now(b"ef") == 0
    network.thaw("one")
    network.kill("two")
    assert one.send_now(b"ef") == 0
