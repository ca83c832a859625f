"""When a node is short of memory or disk, and how the limits are written."""

import pytest

from broker.storage.journal import RESERVED_BYTES
from broker.storage.reserve import Reserve
from broker.vhosts.alarms import GIVE_BACK_EVERY, AlarmLimits, Alarms, disk_free_limit, memory_limit
from broker.world.disk import MemoryDisk
from broker.world.memory import Memory, ProcessMemory

MACHINE_BYTES = 1000


class Journal:
    room = 1 << 40

    def free_bytes(self):
        return self.room


class FakeMemory(Memory):
    """Of what is used, a part is only kept."""

    used = kept = given_back = 0

    def total_bytes(self):
        return MACHINE_BYTES

    def used_bytes(self):
        return self.used + self.kept

    def give_back(self):
        self.kept = 0
        self.given_back += 1


@pytest.fixture
def memory():
    return FakeMemory()


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def alarms(journal, memory):
    return Alarms(journal, memory, AlarmLimits())


def test_a_process_may_use_its_share_of_the_machine(alarms, memory):
    memory.used = 400
    assert alarms.look() == []
    memory.used = 401
    assert alarms.look() == ["memory"]
    alarms.limits.memory = 500
    assert alarms.look() == []
    alarms.limits.memory = 0.0
    assert alarms.look() == ["memory"]


def test_what_is_only_kept_is_given_back_first(alarms, memory):
    memory.used, memory.kept = 300, 300
    assert alarms.look() == []
    assert memory.given_back == 1
    memory.kept = 300
    for _ in range(GIVE_BACK_EVERY - 1):
        assert alarms.look() == ["memory"], "trying costs time"
    assert alarms.look() == []
    assert memory.given_back == 2


def test_the_journal_needs_its_reserve_whatever_the_limit(alarms, journal):
    journal.room = RESERVED_BYTES
    assert alarms.look() == []
    journal.room -= 1
    assert alarms.look() == ["disk"]
    journal.room = 2 * RESERVED_BYTES
    alarms.limits.disk_free = 2 * RESERVED_BYTES + 1
    assert alarms.look() == ["disk"]
    assert alarms.figures() == {
        "mem_limit": 400,
        "disk_free_limit": 2 * RESERVED_BYTES + 1,
        "disk_free": 2 * RESERVED_BYTES,
    }


def test_what_is_set_aside_counts_and_when_it_is_given_up_publishers_wait(alarms, journal):
    alarms.limits.disk_free = 1000
    alarms.limits.reserve = reserve = Reserve(MemoryDisk())
    reserve.held_bytes, journal.room = RESERVED_BYTES, 1000
    assert alarms.look() == []
    journal.room -= 1
    assert alarms.look() == ["disk"]
    reserve.held_bytes, journal.room = RESERVED_BYTES - 2000, 2000
    assert alarms.look() == []
    reserve.held_bytes, journal.room = 0, RESERVED_BYTES - 1
    assert alarms.look() == ["disk"]


def test_room_on_disk_may_be_measured_by_the_memory(alarms):
    alarms.limits.disk_free = 1e6
    assert alarms.disk_free_limit_bytes == 1000 * MACHINE_BYTES * 1000


def test_nobody_has_to_watch_the_memory(journal):
    alarms = Alarms(journal, None, AlarmLimits(0.0, 2.0))
    assert alarms.look() == []
    assert (alarms.memory_limit_bytes, alarms.disk_free_limit_bytes) == (0, RESERVED_BYTES)


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        (0.4, 0.4),
        ({"relative": 1}, 1.0),
        ({"absolute": "2GB"}, 2_000_000_000),
        ({"absolute": 12}, 12),
        ("2GiB", 2 << 30),
        ("5m", 5 << 20),
        ("5mb", 5_000_000),
        ("7k", 7 << 10),
        ("100", 100),
    ],
)
def test_limits_as_people_write_them(written, limit):
    assert memory_limit(written) == limit
    assert isinstance(memory_limit(written), type(limit))


def test_disk_limits_may_be_more_than_the_memory():
    assert disk_free_limit({"relative": 2.5}) == 2.5
    assert disk_free_limit("50MB") == 50_000_000
    assert disk_free_limit(-1) == -1


@pytest.mark.parametrize("written", ["x", "", "1TB", "1.5GB", None, True, [], {}, {"relative": "1"}, {"a": 1}, {1: 2}])
def test_what_is_no_limit(written):
    for limit in (memory_limit, disk_free_limit):
        with pytest.raises(ValueError, match="use "):
            limit(written)


def test_shares_have_bounds():
    for share in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match="The threshold should be a fraction between"):
            memory_limit(share)
    with pytest.raises(ValueError, match="multiple of the machine's memory"):
        disk_free_limit(float("inf"))


def test_this_process():
    memory = ProcessMemory()
    assert 0 < memory.used_bytes() < memory.total_bytes()
    memory.give_back()
