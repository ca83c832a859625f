"""What a copy gives up is kept before it goes: which part, in which portions, and not before it is on the disk."""

from dataclasses import asdict

import pytest
import trio

from broker.cluster.records import Life, QueueRecord
from broker.mirroring.copy import Copy
from broker.mirroring.mirror import Mirror, Offer
from broker.mirroring.terms import Terms
from broker.queues.page import Page
from broker.vhosts import aside as aside_room
from broker.vhosts.aside import Aside
from broker.vhosts.mirrors import Mirrors
from broker.vhosts.paging import Paging
from broker.vhosts.switchboard import PeerLost
from broker.wire import queue_frames as frames
from tests.queues.fakes import positions, run_of
from tests.vhosts.fakes import FakeSwitchboard

OLD, NEW = 10, 20


class Keeper:
    def __init__(self):
        self.lost = {}
        self.kept = []
        self.faults = 0

    def lost_queue(self, queue_id):
        return self.lost.get(queue_id)

    def compared(self, queue_id):
        self.lost.pop(queue_id, None)

    def has_copies(self, queue_ids):
        """Nobody asks here."""

    async def keep(self, loss, runs):
        await trio.lowlevel.checkpoint()
        if self.faults:
            self.faults -= 1
            raise OSError(28, "No space left on device")
        self.kept.append((loss.queue, positions(runs)))


class Room:
    """A copy of queue 1 with the positions 1 to 6, all of term OLD; the upper half lies on the disk."""

    def __init__(self):
        self.switchboard = FakeSwitchboard("n1")
        self.switchboard.call = self.call
        self.switchboard.journal.load = self.load
        self.keeper = Keeper()
        self.record = QueueRecord(1, "/", "q", Life("n2", 1), NEW)
        self.aside = Aside(self.keeper, self.switchboard, lambda _: self.record)
        self.copy = Copy(1, True, terms=Terms([(OLD, 1)]), next_position=7, promised=OLD)
        self.copy.line.append(run_of(3, first=1, size=400))
        self.copy.line.append(Page.of(run_of(3, first=4, size=400)))
        self.mirror = Mirror(self.copy)
        self.holdings = {"terms": [(OLD, 1), (NEW, 4)], "living": [(2, 2)]}

    def offer(self, term=NEW, first=4):
        return Offer(1, term, [(OLD, 1), (term, first)], first)

    def hear_offer(self, master="n2", **facts):
        self.switchboard.hear(master, frames.OFFER, frames.encode_json(asdict(self.offer(**facts))))

    async def call(self, peer, fields):
        await trio.lowlevel.checkpoint()
        assert fields == {"do": "holdings", "queue": 1}
        if self.holdings is None:
            raise PeerLost(peer)
        return self.holdings, b""

    async def load(self, queue_id, first, last):
        await trio.lowlevel.checkpoint()
        return [run_of(last + 1 - first, first=first, size=400)]


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def lost(room):
    """The same, of a history that has lost."""
    room.keeper.lost[1] = ("/", "q")
    return room


@pytest.fixture
def mirrors(room, nursery):
    """Those of this node: the copy is not yet one of them."""
    return Mirrors(room.switchboard, Paging(room.switchboard.journal), nursery.start_soon, room.aside)


async def test_what_a_master_in_sync_does_not_have_was_confirmed_to_nobody(room):
    assert not room.aside.is_due(room.mirror, room.offer())


async def test_of_a_lost_history_the_part_beyond_the_common_one_is_kept(lost):
    assert lost.aside.is_due(lost.mirror, lost.offer())
    await lost.aside.keep_for(lost.mirror, "n2", lost.offer())
    assert lost.keeper.kept == [("q", [4, 5, 6])]
    assert not lost.aside.is_due(lost.mirror, lost.offer())
    lost.aside.followed(lost.mirror)
    assert lost.keeper.lost == {}


async def test_of_a_lost_history_with_nothing_beyond_nothing_is(lost):
    assert not lost.aside.is_due(lost.mirror, lost.offer(first=7))


async def test_all_that_a_master_lacks_that_was_not_in_sync(room):
    room.record = room.record._replace(lossy_term=NEW)
    await room.aside.keep_for(room.mirror, "n2", room.offer())
    assert room.keeper.kept == [("q", [1, 3, 4, 5, 6])]


async def test_it_is_asked_again_while_it_is_no_master_yet(room):
    room.record = room.record._replace(lossy_term=NEW)
    room.holdings = {}
    with pytest.raises(PeerLost):
        await room.aside.keep_for(room.mirror, "n2", room.offer())
    assert room.keeper.kept == []


async def test_in_portions_and_again_until_there_is_room(autojump_clock, monkeypatch, lost):
    monkeypatch.setattr(aside_room, "PORTION_BYTES_MAX", 1000)
    lost.keeper.faults = 3
    await lost.aside.keep_of_unwanted(lost.copy, None)
    assert lost.keeper.kept == [("q", [1, 2, 3]), ("q", [4, 5, 6])]
    assert trio.current_time() >= 3 * aside_room.RETRY_S


async def test_of_an_unwanted_copy_what_its_master_does_not_have(lost):
    await lost.aside.keep_of_unwanted(lost.copy, "n2")
    assert lost.keeper.kept == [("q", [4, 5, 6])]


async def test_a_copy_follows_only_when_what_it_gives_up_is_kept(autojump_clock, lost, mirrors):
    lost.keeper.faults = 1
    mirrors.follow(lost.copy)
    lost.hear_offer()
    await trio.sleep(1)
    assert len(lost.copy.line) == 6
    assert lost.copy.promised == OLD
    await trio.sleep(aside_room.RETRY_S)
    assert lost.keeper.kept == [("q", [4, 5, 6])]
    assert (len(lost.copy.line), lost.copy.promised) == (3, NEW)


async def test_an_offer_waits_for_the_commit_that_says_what_it_costs(autojump_clock, room, mirrors):
    room.record = room.record._replace(term=OLD)
    mirrors.follow(room.copy)
    room.hear_offer()
    await trio.sleep(1)
    assert room.copy.promised == OLD
    room.record = room.record._replace(term=NEW, lossy_term=NEW)
    mirrors.follow(room.copy)
    await trio.sleep(1)
    assert room.keeper.kept == [("q", [1, 3, 4, 5, 6])]
    assert room.copy.promised == NEW


async def test_a_copy_that_has_promised_a_higher_term_to_the_lost_history_begins_anew(autojump_clock, lost, mirrors):
    lost.copy.terms.begin(NEW + 10, 5)
    lost.copy.promised = NEW + 10
    mirrors.follow(lost.copy)
    lost.hear_offer()
    await trio.sleep(1)
    assert lost.keeper.kept == [("q", [4, 5, 6])]
    assert (len(lost.copy.line), lost.copy.promised, lost.copy.terms.entries) == (0, NEW, lost.offer().terms)
    assert lost.copy is mirrors.leave(1)


async def test_so_does_one_of_which_a_part_would_not_be_void_on_the_disk(autojump_clock, lost, mirrors):
    lost.copy.terms.begin(OLD + 5, 4)
    lost.copy.promised = OLD + 5
    mirrors.follow(lost.copy)
    lost.hear_offer(first=6)
    await trio.sleep(1)
    assert lost.keeper.kept == [("q", [4, 5, 6])]
    assert len(lost.copy.line) == 0


async def test_any_other_that_has_promised_a_higher_term_stays_with_it(autojump_clock, room, mirrors):
    room.copy.promised = NEW + 10
    mirrors.follow(room.copy)
    room.hear_offer()
    await trio.sleep(1)
    assert (len(room.copy.line), room.copy.promised) == (6, NEW + 10)


async def test_an_offer_of_another_history_keeps_none_of_this_one_from_being_heard(autojump_clock, room, mirrors):
    room.copy.line.discard(1, 6)
    room.record = room.record._replace(term=OLD)
    mirrors.follow(room.copy)
    for master, term in (("n2", NEW), ("n3", NEW + 10)):
        room.hear_offer(master, term=term)
    assert room.copy.promised == OLD
    room.record = room.record._replace(term=NEW)
    mirrors.follow(room.copy)
    assert room.copy.promised == NEW
    room.record = room.record._replace(term=NEW + 1)
    mirrors.follow(room.copy)
    assert room.copy.promised == NEW
