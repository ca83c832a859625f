"""Committed events become lines for people: who, in whose place, after how long, and what is missing."""

import json
from random import Random

import trio

from broker.cluster.operations import Event
from broker.cluster.tree import Tree
from broker.meters.meters import Promotions
from broker.node.configuration import EVENTS_FILE
from broker.node.timeline import Timeline
from broker.world.clock import Clock
from tests.simulation.disk import SimDisk

TICKTIME_S = 5.0


class Hands(Clock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000

    def stamp_ms(self) -> int:
        return self.now_ms


class House:
    def __init__(self) -> None:
        self.clock = Hands()
        self.disk = SimDisk(Random(1))
        self.tree = Tree()
        self.timeline = Timeline("n2", self.clock, self.disk, TICKTIME_S)
        self.timeline.follow(self.tree)
        self.zxid = 0

    def commit(self, *events: Event) -> list[dict]:
        before = len(self.timeline.since(0))
        self.zxid += 1
        self.tree.apply(self.zxid, events)
        return self.timeline.since(0)[before:]


def promotion(cause: str = "failure", **facts) -> Event:
    facts = {"from": "n1", "to": "n2", **facts}
    return Event.of("promotion", vhost="/", queue="orders", id=7, cause=cause, **facts)


async def test_a_promotion_is_counted_from_the_loss_of_the_link_whatever_the_wall_clock_does(
    autojump_clock: object,
) -> None:
    house = House()
    house.timeline.peer_lost("n1")
    await trio.sleep(0.04)
    house.clock.now_ms += 3_600_000
    (event,) = house.commit(promotion())
    assert (event["ms"], event["cause"], event["missing"], event["queue_id"]) == (40, "kill", 0, 7)
    assert event["text"] == "queue orders: n2 promoted in place of n1 after 40 ms (kill)"


def test_without_a_lost_link_the_master_was_given_up_for_its_silence() -> None:
    (event,) = House().commit(promotion(missing=3))
    assert (event["ms"], event["cause"]) == (5000, "silence")
    assert event["text"].endswith("after 5000 ms (silence), 3 messages missing")


def test_what_may_be_missing_is_told_where_nobody_can_count_it() -> None:
    (event,) = House().commit(promotion("operator", missing=None, kinds=["persistent", "transient"], in_sync=False))
    assert event["text"].endswith("(operator), persistent and transient messages may be missing")
    (event,) = House().commit(promotion("operator", missing=0, kinds=[], in_sync=True))
    assert event["text"].endswith("(operator)")


def test_the_last_promotion_of_a_queue_is_remembered() -> None:
    house = House()
    house.commit(promotion(term_count=2), promotion(term_count=3, in_sync=True, kinds=[]))
    (last,) = house.timeline.last_promotions().values()
    assert (last["term"], last["from"], last["in_sync"], last["missing"]) == (3, "n1", True, 0)


async def test_a_link_that_came_back_counts_for_nothing() -> None:
    house = House()
    house.timeline.peer_lost("n1")
    house.timeline.peer_found("n1")
    (event,) = house.commit(promotion())
    assert event["cause"] == "silence"


def test_a_transfer_takes_no_time() -> None:
    (event,) = House().commit(promotion("transfer"))
    assert (event["ms"], event["cause"]) == (0, "operator")


def test_events_of_one_transaction_have_ids_that_all_nodes_agree_on() -> None:
    house = House()
    first, second = house.commit(Event.of("life", node="n1", life=1, change="ended", why="failure"), promotion())
    (third,) = house.commit(Event.of("policy", name="p", change="set"))
    assert [event["id"] for event in (first, second, third)] == ["1/1", "1/2", "2/1"]
    assert first["text"] == "node n1: life 1 ended (failure)"


async def test_what_was_told_is_there_in_the_next_life(autojump_clock) -> None:
    house = House()
    house.timeline.tell("partition", "links cut on purpose: n1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.timeline.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    later = Timeline("n2", house.clock, house.disk, TICKTIME_S)
    await later.load()
    assert [event["text"] for event in later.since(0)] == ["links cut on purpose: n1"]
    assert later.since(house.clock.now_ms) == []
    assert json.dumps(later.since(0))


async def test_a_disk_that_does_not_keep_it_costs_nothing_else(autojump_clock, caplog) -> None:
    house = House()
    house.disk.fail("write", under=EVENTS_FILE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.timeline.run)
        house.timeline.tell("disk", "first")
        await trio.sleep(1)
        house.disk.mend()
        house.timeline.tell("disk", "second")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert caplog.messages == ["event=timeline_not_written file=sim:events.json why='Input/output error'"]
    assert len((await house.disk.read(EVENTS_FILE)).splitlines()) == 2


async def test_what_cannot_be_read_is_forgotten(autojump_clock, caplog) -> None:
    house = House()
    await house.disk.replace(EVENTS_FILE, b'{"stamp_ms": 5}\n{"st')
    await house.timeline.load()
    house.disk.fail("read", under=EVENTS_FILE)
    await house.timeline.load()
    assert house.timeline.since(0) == []
    assert [message.partition(" why=")[0] for message in caplog.messages] == [
        "event=timeline_not_read file=sim:events.json"
    ] * 2


def test_promotions_to_this_node_are_counted() -> None:
    house = House()
    promotions = Promotions()
    timeline = Timeline("n2", house.clock, house.disk, TICKTIME_S, promotions)
    timeline.follow(house.tree)
    house.commit(promotion(missing=3), promotion(cause="transfer", missing=None), promotion(cause="transfer", to="n3"))
    assert promotions.by_cause == {"silence": 1, "operator": 1}
    assert (promotions.seconds.count, promotions.seconds.sum, promotions.missing) == (2, TICKTIME_S, 3)
