"""Recovery files: what is in them, how large they get, and that nothing of a message is lost on the way."""

import json
from decimal import Decimal
from random import Random

import pytest

from broker.node import recovery_line
from broker.node import set_aside as set_aside_room
from broker.node.healing import Healing
from broker.node.recovery_line import NotALine
from broker.node.set_aside import FOLDER, SetAside
from broker.vhosts.aside import Loss
from broker.wire.content import assemble, body_of
from broker.wire.fields import Byte, Long, Single, Timestamp, UnsignedShort
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, property_bytes, traits_of
from broker.world.disk import MemoryDisk
from tests.queues.fakes import run_of
from tests.simulation.disk import SimDisk

LOSS = Loss(7, "/", "q", ((10, 1), (12, 3)), "n2 became master without being synchronised")
HEADERS = {
    "small": Byte(-1),
    "wide": Long(5),
    "port": UnsignedShort(5672),
    "half": Single(0.5),
    "at": Timestamp(1_700_000_000),
    "bytes": b"\x00\xff",
    "money": Decimal("1.25"),
    "list": [1, "two", {"three": 3}],
    "$": "x",
    "no text": "\udcff",
    "nothing": None,
    "yes": True,
}


class Clock:
    def stamp_ms(self):
        return 1_700_000_000_000


class Timeline:
    def __init__(self):
        self.told = []

    def tell(self, what, text, **facts):
        self.told.append((what, facts["messages"]))


@pytest.fixture(name="disk")
def _disk():
    return SimDisk(Random(1))


def set_aside(disk, timeline=None, node="n1"):
    return SetAside(node, disk, Clock(), timeline or Timeline(), Healing(disk))


async def test_what_is_kept_in_the_same_moment_does_not_replace_what_was(disk):
    timeline = Timeline()
    aside = set_aside(disk, timeline)
    await aside.keep(LOSS, [run_of(2, first=1)])
    await aside.keep(LOSS, [run_of(3, first=3)])
    assert [row["messages"] for row in await aside.files()] == [2, 3]
    assert timeline.told == [("set_aside", 2), ("set_aside", 3)]


async def test_a_line_says_what_it_was_where_it_stood_and_why_it_is_there(disk):
    aside = set_aside(disk)
    await aside.keep(LOSS, [run_of(1, first=2, salt=41), run_of(1, first=3)])
    (row,) = await aside.files()
    first, second = await aside.read(row["file"])
    assert first == {
        "vhost": "/",
        "queue": "q",
        "exchange": "",
        "key": "q",
        "properties": {},
        "body": "041",
        "encoding": "utf8",
        "redelivered": False,
        "published_ms": 0,
        "queue_id": 7,
        "term": 10,
        "position": 2,
        "node": "n1",
        "stamp_ms": 1_700_000_000_000,
        "why": "n2 became master without being synchronised",
    }
    assert (second["term"], second["position"]) == (12, 3)
    assert row == {key: first[key] for key in ("vhost", "queue", "queue_id", "node", "why", "stamp_ms")} | {
        "file": row["file"],
        "messages": 2,
    }


@pytest.mark.parametrize("body", [b"", b"text", b"\xff\x00", b"x" * 300_000])
async def test_a_message_comes_out_as_it_went_in(disk, body):
    properties = Properties(
        content_type="text/plain",
        headers=HEADERS,
        delivery_mode=2,
        priority=3,
        correlation_id="\udcfe",
        expiration="60000",
        timestamp=1_700_000_000,
        user_id="guest",
    )
    content = assemble(1, properties.encode(), body, 131072)
    run = Run([content], make_address("logs", "a.b"), traits_of(content), first=9)
    aside = set_aside(disk)
    await aside.keep(LOSS, [run])
    (message,) = await aside.read((await aside.files())[0]["file"])
    again = recovery_line.run_of(message)
    assert property_bytes(again.contents[0]) == property_bytes(content)
    assert body_of(again.contents[0]) == body
    assert (again.address, again.traits) == (run.address, run.traits)


async def test_properties_that_nobody_can_read_are_kept_as_they_are(disk):
    raw = b"\x20\x00\x00\x00\x00\x03abc"  # headers that are no table
    run = Run([assemble(1, raw, b"x", 131072)], make_address("", "q"), run_of(1).traits, first=1)
    aside = set_aside(disk)
    await aside.keep(LOSS, [run])
    (message,) = await aside.read((await aside.files())[0]["file"])
    assert property_bytes(recovery_line.content_of(message)) == raw


async def test_files_are_bounded(disk, monkeypatch):
    monkeypatch.setattr(set_aside_room, "FILE_BYTES_MAX", 1000)
    aside = set_aside(disk)
    await aside.keep(LOSS, [run_of(10, first=1)])
    rows = await aside.files()
    assert len(rows) > 1
    assert sum(row["messages"] for row in rows) == 10
    assert max([len(await disk.read(f"{FOLDER}/{row['file']}")) for row in rows]) < 1600


async def test_names_are_short_and_stay_in_the_folder(disk):
    aside = set_aside(disk)
    await aside.keep(Loss(7, "/", "../" + "é" * 127, (), "why"), [run_of(1, first=1)])
    (row,) = await aside.files()
    assert "/" not in row["file"]
    assert len(row["file"].encode()) < 120
    assert len(await aside.read(row["file"])) == 1
    for name in ("../identity.json", "../x.jsonl", "none.jsonl"):
        with pytest.raises(FileNotFoundError):
            await aside.read(name)


async def test_what_is_back_in_its_queue_is_struck_off_everywhere_and_an_empty_file_goes(disk):
    aside = set_aside(disk)
    await aside.keep(LOSS, [run_of(3, first=1)])
    await aside.strike({(7, 10, 1), (7, 12, 3), (8, 10, 2)})
    (row,) = await aside.files()
    assert [message["position"] for message in await aside.read(row["file"])] == [2]
    assert row["messages"] == 1
    await aside.strike({(7, 10, 2)})
    assert await aside.files() == []


async def test_a_file_of_something_else_is_shown_as_such(disk):
    await disk.replace(f"{FOLDER}/odd.jsonl", b'{"vhost": "/"}\n')
    aside = set_aside(disk)
    (row,) = await aside.files()
    assert (row["file"], row["messages"]) == ("odd.jsonl", 0)
    assert row["why"].startswith("this is no recovery file")
    with pytest.raises(NotALine):
        await aside.read("odd.jsonl")


async def test_a_full_disk_is_told_of_once_and_keeps_the_copy_waiting(disk):
    timeline = Timeline()
    aside = set_aside(disk, timeline)
    disk.full = True
    for _ in range(2):
        with pytest.raises(OSError, match="space"):
            await aside.keep(LOSS, [run_of(1, first=1)])
    assert timeline.told == [("set_aside", 0)]
    disk.full = False
    await aside.keep(LOSS, [run_of(1, first=1)])
    assert timeline.told == [("set_aside", 0), ("set_aside", 1)]


def test_lines_are_plain_json():
    (line,) = recovery_line.lines_of(LOSS, [run_of(1, first=1)], "n1", 1)
    assert line.endswith(b"\n")
    assert json.loads(line) == recovery_line.decode(line)


async def test_where_nothing_is_kept_nothing_is_said_to_be():
    timeline = Timeline()
    aside = set_aside(MemoryDisk(), timeline)
    await aside.keep(LOSS, [run_of(2, first=1)])
    assert timeline.told == [("set_aside", 0)]


async def test_of_which_there_is_no_copy_nothing_has_to_be_compared(disk):
    healing = Healing(disk)
    await healing.begin("n2", 65, {7: ("/", "q"), 8: ("/", "r")})
    SetAside("n1", disk, Clock(), Timeline(), healing).has_copies({8, 9})
    assert healing.queues == {8: ("/", "r")}
