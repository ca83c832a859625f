"""What survives a kill while a node goes over to another history."""

from random import Random

import pytest
import trio

from broker.cluster.entries import Accept, Append, Roll, zxid_of
from broker.cluster.history import marker
from broker.node.healing import FILE, Healing
from broker.node.store import Unusable
from broker.storage.zab_log import ZabLog
from tests.node.slow_disk import SlowDisk
from tests.simulation.disk import SimDisk


@pytest.fixture(name="disk")
async def _disk():
    disk = SimDisk(Random(1))
    await write_log(disk, 7)
    return disk


async def write_log(disk, epoch):
    log = ZabLog(disk)
    roll = Roll("cluster", "n1", {"n1": "folder"})
    await log.persist([Accept(epoch), Append([marker(zxid_of(epoch, 0), roll)])], sync=True)
    log.close()


async def entries_and_promise(disk):
    durable = await ZabLog(disk).recover()
    return len(durable.entries), durable.accepted_epoch


async def again(disk):
    disk.lose_power()
    healing = Healing(disk)
    await healing.load()
    return healing


async def test_nothing_is_remembered_where_nothing_was_lost(disk):
    healing = await again(disk)
    assert (healing.epoch, healing.queues) == (None, {})
    assert await entries_and_promise(disk) == (1, 7)


async def test_the_log_goes_but_for_the_promise_and_what_has_to_be_compared_is_known_in_every_later_life(disk):
    await Healing(disk).begin("n2", 65, {7: ("/", "q")})
    assert await entries_and_promise(disk) == (0, 7)
    healing = await again(disk)
    assert (healing.leader, healing.epoch, healing.queues) == ("n2", 65, {7: ("/", "q")})


async def test_a_log_that_is_still_there_after_a_kill_goes_then(disk, monkeypatch):
    async def die(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Healing, "_forget_log", die)
    with pytest.raises(KeyboardInterrupt):
        await Healing(disk).begin("n2", 65, {})
    monkeypatch.undo()
    assert await entries_and_promise(disk) == (1, 7)
    healing = await again(disk)
    assert healing.epoch == 65
    assert await entries_and_promise(disk) == (0, 7)


async def test_a_log_of_the_new_history_stays(disk):
    await Healing(disk).begin("n2", 65, {7: ("/", "q")})
    await write_log(disk, 65)
    await again(disk)
    assert await entries_and_promise(disk) == (1, 65)


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


async def test_what_was_true_last_is_written_last(disk, autojump_clock):
    await Healing(disk).begin("n2", 65, {7: ("/", "q"), 8: ("/", "r")})
    healing = Healing(SlowDisk(disk, 2, 1))
    await healing.load()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(healing.run)
        healing.strike_off(7)
        await trio.sleep(0.5)
        await healing.joined()
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    healing = await again(disk)
    assert (healing.epoch, healing.queues) == (None, {8: ("/", "r")})


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"leader": "n2"}', b'{"leader": "", "epoch": 1, "is_log_due": 0, "queues": 1}']
)
async def test_without_knowing_which_copies_were_lost_with_a_history_no_life_begins(disk, content):
    await disk.replace(FILE, content)
    with pytest.raises(Unusable, match=r"healing\.json cannot be read"):
        await Healing(disk).load()


async def test_a_log_that_is_to_go_and_does_not_give_its_promise_lets_no_life_begin(disk):
    await Healing(disk).begin("n2", 65, {7: ("/", "q")})
    content = await disk.read(FILE)
    await disk.replace(FILE, content.replace(b'"is_log_due": false', b'"is_log_due": true'))
    await write_log(disk, 65)
    disk.damage("zab/log", 20)
    with pytest.raises(Unusable, match=r"zab/log.* remove the folder"):
        await Healing(disk).load()
