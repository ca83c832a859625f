"""Recovery files: one for each portion of messages, whenever they come."""

from random import Random

from broker.cluster.records import Life, QueueRecord
from broker.node.set_aside import FOLDER, SetAside
from tests.queues.fakes import run_of
from tests.simulation.disk import SimDisk


class Clock:
    def stamp_ms(self):
        return 1_700_000_000_000


class Timeline:
    def __init__(self):
        self.told = []

    def tell(self, what, text, **facts):
        self.told.append((what, facts["messages"]))


async def test_what_is_kept_in_the_same_moment_does_not_replace_what_was():
    disk, timeline = SimDisk(Random(1)), Timeline()
    aside = SetAside(disk, Clock(), timeline)
    record = QueueRecord(1, "/", "q", Life("n1", 1), 1)
    await aside.keep(record, [run_of(2, first=1)])
    await aside.keep(record, [run_of(3, first=3)])
    names = await disk.list_names(FOLDER)
    assert sorted([len((await disk.read(name)).splitlines()) for name in names]) == [2, 3]
    assert timeline.told == [("set_aside", 2), ("set_aside", 3)]
