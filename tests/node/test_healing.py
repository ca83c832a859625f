"""What survives a kill while a node goes over to another history."""

from random import Random

import pytest
import trio

from broker.node.healing import FILE, Healing
from broker.storage import zab_log
from tests.simulation.disk import SimDisk


@pytest.fixture(name="disk")
async def _disk():
    disk = SimDisk(Random(1))
    await disk.replace(zab_log.NAME, b"a history")
    return disk


async def again(disk):
    disk.lose_power()
    healing = Healing(disk)
    await healing.load()
    return healing


async def test_nothing_is_remembered_where_nothing_was_lost(disk):
    healing = await again(disk)
    assert (healing.epoch, healing.queues) == (None, {})
    assert await disk.read(zab_log.NAME) == b"a history"


async def test_the_log_goes_and_what_has_to_be_compared_is_known_in_every_later_life(disk):
    await Healing(disk).begin("n2", 65, {7: ("/", "q")})
    with pytest.raises(FileNotFoundError):
        await disk.read(zab_log.NAME)
    healing = await again(disk)
    assert (healing.leader, healing.epoch, healing.queues) == ("n2", 65, {7: ("/", "q")})


async def test_a_log_that_is_still_there_after_a_kill_goes_then(disk, monkeypatch):
    async def die(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Healing, "_forget_log", die)
    with pytest.raises(KeyboardInterrupt):
        await Healing(disk).begin("n2", 65, {})
    monkeypatch.undo()
    assert await disk.read(zab_log.NAME) == b"a history"
    healing = await again(disk)
    assert healing.epoch == 65
    with pytest.raises(FileNotFoundError):
        await disk.read(zab_log.NAME)


async def test_a_log_of_the_new_history_stays(disk):
    await Healing(disk).begin("n2", 65, {7: ("/", "q")})
    await disk.replace(zab_log.NAME, b"the other history")
    await again(disk)
    assert await disk.read(zab_log.NAME) == b"the other history"


async def test_the_file_goes_when_all_is_done(disk, autojump_clock):
    healing = Healing(disk)
    await healing.begin("n2", 65, {7: ("/", "q"), 8: ("/", "r")})
    await healing.joined()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(healing.run)
        healing.strike_off(7)
        await trio.sleep(1)
        assert (await again(disk)).queues == {8: ("/", "r")}
        healing.strike_off(8)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    with pytest.raises(FileNotFoundError):
        await disk.read(FILE)


async def test_what_is_lost_twice_is_compared_with_the_second_winner(disk):
    healing = Healing(disk)
    await healing.begin("n2", 65, {7: ("/", "q")})
    await healing.begin("n3", 130, {8: ("/", "r")})
    healing = await again(disk)
    assert (healing.leader, healing.epoch, sorted(healing.queues)) == ("n3", 130, [7, 8])
