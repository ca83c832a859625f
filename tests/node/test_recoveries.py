"""Recovery files under commands: published once, whoever asks at the same time, and struck off wherever they stand."""

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from broker.cluster.refusal import Refused
from broker.node.healing import Healing
from broker.node.recoveries import Recoveries
from broker.node.set_aside import FOLDER, SetAside
from broker.node.timeline import Timeline
from broker.vhosts.aside import Loss
from broker.world.clock import RealClock
from broker.world.disk import MemoryDisk
from tests.node.slow_disk import SlowDisk
from tests.queues.fakes import run_of
from tests.simulation.disk import SimDisk
from tests.vhosts.room import open_hall

LOSS = Loss(7, "/", "orders", ((10, 1),), "in a partition this side lost")


@asynccontextmanager
async def open_recoveries(files, *delays_s):
    """A hall with queue "orders", and so many files of the same three messages; `delays_s`: of the disk's writes."""
    clock, disk = RealClock(), SlowDisk(SimDisk(Random(1)), *delays_s)
    timeline = Timeline("n1", clock, MemoryDisk(), 60)
    set_aside = SetAside("n1", disk, clock, timeline, Healing(disk))
    for _ in range(files):
        await set_aside.keep(LOSS, [run_of(3, first=1)])
    async with open_hall() as hall:
        await hall.declarations.declare_plain("/", "orders")
        yield hall, disk, Recoveries(hall, set_aside, timeline).verbs


async def names(verbs):
    return [row["file"] for row in (await verbs["recovered_list"]({}))["files"]]


def depth(hall):
    return hall.catalogue.vhosts["/"].handle("orders").local.queue.messages_ready


async def test_what_one_node_has_kept_twice_comes_back_once():
    async with open_recoveries(2) as (hall, _, verbs):
        first, _ = await names(verbs)
        answer = await verbs["recovered_replay"]({"file": first, "queue": "orders"})
        assert answer == {"confirmed": 3, "kept": 0, "why": {}, "silent": []}
        assert await names(verbs) == []
        assert depth(hall) == 3


async def test_two_who_replay_at_the_same_time_publish_each_message_once(autojump_clock):
    async with open_recoveries(1, 0, 1, 1) as (hall, _, verbs):
        (file,) = await names(verbs)
        answers = []

        async def replay():
            try:
                answers.append((await verbs["recovered_replay"]({"file": file, "queue": "orders"}))["confirmed"])
            except Refused as refused:
                answers.append(refused.why)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(replay)
            nursery.start_soon(replay)
        assert 3 in answers
        assert f"no recovery file {file}" in str(answers) or f"has a recovery file {file}" in str(answers)
        assert depth(hall) == 3


async def test_members_that_do_not_run_are_named_as_they_may_have_kept_the_same():
    async with open_recoveries(1) as (hall, _, verbs):
        await hall.tree.propose({"do": "add_member", "node": "n2"})
        (file,) = await names(verbs)
        answer = await verbs["recovered_replay"]({"file": file, "queue": "orders"})
        assert (answer["confirmed"], answer["silent"]) == (3, ["n2"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"garbage\n", "line 1: it is no JSON"),
        (b'["a list"]\n', "line 1: it is no object"),
        (b'{"vhost": "/"}\n', "line 1: it has no queue"),
        (b'{"vhost": 1}\n', "line 1: its vhost is 1"),
    ],
)
async def test_a_file_of_something_else_is_named_and_can_be_dropped(content, why):
    async with open_recoveries(0) as (_, disk, verbs):
        await disk.replace(f"{FOLDER}/odd.jsonl", content)
        (row,) = (await verbs["recovered_list"]({}))["files"]
        assert (row["messages"], row["why"]) == (0, f"this is no recovery file: {why}")
        if content:
            with pytest.raises(Refused, match=f"odd.jsonl is no recovery file: {why}"):
                await verbs["recovered_show"]({"file": "odd.jsonl"})
        assert await verbs["recovered_drop"]({"file": "odd.jsonl"}) == {"messages": len(content.splitlines())}
        assert await names(verbs) == []
