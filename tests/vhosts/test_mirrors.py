"""Copies, started, fed and stopped, on services without tasks."""

from dataclasses import asdict

from broker.cluster.records import Life, QueueRecord
from broker.mirroring.copy import Copy
from broker.mirroring.master import Master
from broker.mirroring.mirror import Offer, Statement
from broker.queues.settings import Settings
from broker.vhosts.aside import Aside, Nobody
from broker.vhosts.followers import CATCH_UP_BYTES_MAX, Followers
from broker.vhosts.local import Local
from broker.vhosts.mirrors import Mirrors
from broker.vhosts.paging import Paging
from broker.vhosts.publications import Publications
from broker.wire import queue_frames as frames
from broker.wire import records
from broker.wire.content import body_of
from broker.wire.properties import Properties
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakeSwitchboard, FakeTimers

TERM = 10
AUTOMATIC = {"ha-mode": "all", "ha-sync-mode": "automatic"}
PERSISTENT = Properties(delivery_mode=2)


class House:
    """The mirrors room of one node."""

    def __init__(self, node="n1", begin=0):
        self.switchboard = FakeSwitchboard(node, begin)
        self.entering = []
        self.followers = Followers(self.switchboard, None, lambda _, local, follower: self.entering.append(follower))
        self.paging = Paging(self.switchboard.journal)
        self.mirrors = Mirrors(self.switchboard, self.paging, None, Aside(Nobody(), self.switchboard, lambda _: None))

    def lead(self, *, definition=AUTOMATIC, in_sync=("n1",), bodies=(), mirrors=("n2",), queue_id=1):
        """Be the master of a queue, with mirrors on these nodes."""
        master = Master(Copy(queue_id, True), TERM, Settings(), mirrored=True)
        local = Local(
            master, Publications("n1/1"), self.switchboard, FakeTimers(), self.paging, None, False, None, None
        )
        for body in bodies:
            local.publish(run_of(body), None)
        lives = tuple(Life(node, 1) for node in in_sync)
        record = QueueRecord(
            queue_id,
            "/",
            "q",
            Life("n1", 1),
            TERM,
            mirrors=tuple(Life(node, 1) for node in mirrors),
            in_sync=lives,
            durable=True,
            definition=definition,
        )
        self.followers.lead(local, record)
        self.end_turn()
        return local

    def end_turn(self):
        self.switchboard.end_turn()
        self.switchboard.journal.sync()
        self.mirrors.flush()

    def hear_statement(self, common=0, living=(), refused=0, offset=None, peer="n2", queue_id=1):
        """The answer to the last offer, or to the one that ended at `offset`."""
        if offset is None:
            offset = self.followers._locals[queue_id].master.witnesses.followers[peer].offered
        statement = Statement(queue_id, TERM, refused, common, list(living), offset)
        self.switchboard.hear(peer, frames.STATEMENT, frames.encode_json(asdict(statement)))

    def hear_unapplied(self, promised, offset):
        self.switchboard.hear("n2", frames.UNAPPLIED, frames.encode_triple(1, promised, offset))

    @property
    def offered(self):
        return self.followers._locals[1].master.witnesses.followers["n2"].offered

    def hear_acknowledged(self, received, synced):
        self.switchboard.hear("n2", frames.ACKNOWLEDGED, frames.encode_pair(received, synced))

    def offer(self, peer, term=TERM, next_position=1):
        offer = Offer(1, term, [(term, 1)], next_position)
        self.switchboard.hear(peer, frames.OFFER, frames.encode_json(asdict(offer)))

    def record(self, peer, record, offset):
        self.switchboard.hear(peer, frames.RECORD, records.encode(record), offset)


def publish_record(first, *bodies, term=TERM):
    run = run_of(*bodies)
    run.first = first
    return records.Publish(1, term, run)


def sent_bytes(house, node="n2"):
    return sum(map(len, house.switchboard.take(frames.RECORD, node)))


def sent_records(house):
    return [records.decode(payload)[0] for payload in house.switchboard.take(frames.RECORD)]


# ---------------------------------------------------------------------- the master's node


def test_a_master_offers_itself_when_the_mirror_can_be_reached_and_again_after_each_break():
    house = House()
    house.switchboard.links.down.add("n2")
    house.lead(bodies=["a"])
    assert house.switchboard.take_json(frames.OFFER) == []
    house.switchboard.links.down.clear()
    house.followers.link_up("n2")
    (offer,) = house.switchboard.take_json(frames.OFFER, "n2")
    assert offer == {"queue_id": 1, "term": TERM, "terms": [[TERM, 1]], "next_position": 2}
    house.followers.link_down("n2")
    house.followers.link_up("n2")
    assert len(house.switchboard.take_json(frames.OFFER, "n2")) == 1


def test_a_mirror_is_filled_and_proposed_when_its_disk_has_all():
    house = House()
    local = house.lead(bodies=["a", "b"])
    house.hear_statement()
    runs = [record.run for record in sent_records(house) if isinstance(record, records.Publish)]
    assert [body_of(content) for run in runs for content in run.contents] == [b"a", b"b"]
    assert local.master.witnesses.followers["n2"].joined
    behind = house.switchboard.links.offset("n2", "data")
    house.hear_acknowledged(behind, behind - 1)
    assert house.entering == []
    house.hear_acknowledged(behind, behind)
    assert [follower.node for follower in house.entering] == ["n2"]
    house.followers.entered(local, "n2")
    assert not house.entering[0].entering


def test_without_automatic_sync_the_mirror_lacks_what_was_there_until_an_operator_or_the_consumers_see_to_it():
    house = House()
    local = house.lead(definition={"ha-mode": "all"}, bodies=["a"])
    house.hear_statement()
    follower = local.master.witnesses.followers["n2"]
    assert follower.missing_count == 1
    behind = house.switchboard.links.offset("n2", "data")
    house.hear_acknowledged(behind, behind)
    assert house.entering == []
    assert house.followers.synchronise(1, start=True)
    assert follower.missing_count == 0
    assert not house.followers.synchronise(1, start=False), "nothing is left to stop"


def test_a_mirror_that_follows_a_newer_term_counts_for_nothing():
    house = House()
    local = house.lead(bodies=["a"])
    house.hear_statement(refused=TERM + 1)
    assert local.master.witnesses.followers["n2"].refused
    house.hear_acknowledged(1 << 40, 1 << 40)
    assert house.entering == []


def test_what_is_published_and_gone_while_a_mirror_is_filled_is_known_to_it_when_it_joins():
    house = House()
    local = house.lead(bodies=["x" * (CATCH_UP_BYTES_MAX // 8)] * 24)
    house.hear_statement()
    sent_records(house)
    run = run_of("a")
    run.origin, run.sequence = "n3/1", 7
    local.master.copy.origins["n3/1"] = 6
    local.publish_from("n3", run)
    local.queue.purge()
    house.end_turn()
    behind = house.switchboard.links.offset("n2", "data")
    house.hear_acknowledged(behind, behind)
    assert local.master.witnesses.followers["n2"].joined
    found = {record.origin: record.highest for record in sent_records(house) if isinstance(record, records.Origin)}
    assert found == {"n3/1": 7}


def test_catch_up_that_loses_its_link_begins_anew():
    house = House()
    local = house.lead(bodies=["a"])
    house.switchboard.links.down.add("n2")
    house.hear_statement()
    follower = local.master.witnesses.followers["n2"]
    assert (follower.joined, list(follower.unsynced)) == (False, [])
    house.followers.link_down("n2")
    house.switchboard.links.down.clear()
    house.followers.link_up("n2")
    house.hear_statement()
    assert local.master.witnesses.followers["n2"].joined


def test_a_late_statement_does_not_keep_a_mirror_from_stating_anew():
    house = House()
    local = house.lead(bodies=["a"])
    house.switchboard.links.down.add("n2")
    house.followers.link_down("n2")
    house.hear_statement()  # it was on its way when the other direction broke
    house.switchboard.links.down.clear()
    house.followers.link_up("n2")
    house.hear_statement()
    assert local.master.witnesses.followers["n2"].joined


def test_only_the_last_offer_can_be_answered():
    house = House()
    local = house.lead(bodies=["a"])
    first = house.offered
    record = house.followers._records[1]
    house.followers.lead(local, record._replace(mirrors=()))  # its copy goes
    house.followers.lead(local, record)
    house.hear_statement(common=1, living=[(1, 1)], offset=first)
    assert not local.master.witnesses.followers["n2"].stated
    house.hear_statement()
    assert local.master.witnesses.followers["n2"].joined


def test_a_mirror_that_is_not_the_one_any_more_that_stated_counts_for_nothing_until_it_states_anew():
    house = House()
    local = house.lead(in_sync=("n1", "n2"), bodies=["a"])
    house.hear_statement(common=1, living=[(1, 1)])
    behind = house.switchboard.links.offset("n2", "data")
    assert local.master.witnesses.followers["n2"].joined
    house.hear_unapplied(0, behind)  # two records of the queue came at once there: its copy went, and began anew
    house.hear_acknowledged(behind, behind)
    assert local.master.witnesses.marks() == (0, 0)
    assert len(house.switchboard.take_json(frames.OFFER, "n2")) == 2
    house.hear_unapplied(TERM + 1, behind)  # about an earlier time
    house.hear_statement()
    assert local.master.witnesses.followers["n2"].joined
    house.hear_unapplied(TERM + 1, house.switchboard.links.offset("n2", "data"))
    assert local.master.witnesses.followers["n2"].refused


def test_a_statement_that_may_be_lost_is_asked_for_again():
    house = House()
    local = house.lead(bodies=["a"])
    house.followers.link_closed("n2")  # only the way from there broke
    assert len(house.switchboard.take_json(frames.OFFER, "n2")) == 2
    house.hear_statement()
    assert local.master.witnesses.followers["n2"].joined


def test_a_member_that_was_given_up_comes_back_by_catch_up():
    house = House()
    local = house.lead(in_sync=("n1", "n2"))
    house.hear_statement()
    record = house.followers._records[1]
    house.followers.lead(local, record._replace(in_sync=(Life("n1", 1),), version=1))
    assert not local.master.witnesses.followers["n2"].joined
    house.switchboard.journal.sync()
    house.followers.progress()
    assert house.entering == []
    house.hear_statement()
    behind = house.switchboard.links.offset("n2", "data")
    house.hear_acknowledged(behind, behind)
    assert [follower.node for follower in house.entering] == ["n2"]


def test_the_answer_to_an_earlier_masters_proposal_says_nothing_of_this_ones():
    house = House()
    before = house.lead()
    house.followers.unlead(1)
    local = house.lead()
    house.hear_statement()
    behind = house.switchboard.links.offset("n2", "data")
    house.hear_acknowledged(behind, behind)
    house.followers.entered(before, "n2")
    assert local.master.witnesses.required() == {"n2"}


def test_who_is_no_mirror_any_more_is_forgotten():
    house = House()
    local = house.lead()
    house.followers.lead(local, QueueRecord(1, "/", "q", Life("n1", 1), TERM, in_sync=(Life("n1", 1),)))
    assert local.master.witnesses.followers == {}
    house.followers.unlead(1)
    house.hear_statement(offset=0)
    assert sent_records(house) == []


# ---------------------------------------------------------------------- the mirror's node


def test_a_mirror_states_what_it_holds_when_that_is_on_disk_whoever_it_came_from():
    house = House("n2")
    house.mirrors.follow(Copy(1, True))
    house.offer("n1")
    house.end_turn()
    assert len(house.switchboard.take_json(frames.STATEMENT, "n1")) == 1
    house.record("n1", publish_record(1, "a"), 100)
    house.switchboard.end_turn()  # received, not synced
    house.offer("n3", term=TERM)  # the same history: nothing to be stored for it
    house.switchboard.end_turn()
    assert house.switchboard.take_json(frames.STATEMENT, "n3") == []
    house.switchboard.journal.sync()
    house.mirrors.flush()
    (statement,) = house.switchboard.take_json(frames.STATEMENT, "n3")
    assert statement["living"] == [[1, 1]]


def test_received_and_synced_are_told_apart():
    house = House("n2")
    house.mirrors.follow(Copy(1, True))
    house.offer("n1")
    house.end_turn()
    house.record("n1", publish_record(1, "a"), 100)
    house.record("n1", publish_record(2, "b"), 200)
    house.switchboard.end_turn()
    assert [frames.decode_pair(raw) for raw in house.switchboard.take(frames.ACKNOWLEDGED, "n1")] == [(200, 99)]
    house.switchboard.journal.sync()
    house.mirrors.flush()
    assert [frames.decode_pair(raw) for raw in house.switchboard.take(frames.ACKNOWLEDGED, "n1")] == [(200, 200)]
    house.mirrors.flush()
    assert house.switchboard.take(frames.ACKNOWLEDGED) == []


def test_what_could_not_be_told_is_told_when_the_link_is_up():
    house = House("n2")
    house.mirrors.follow(Copy(1, True))
    house.switchboard.links.down.add("n1")
    house.offer("n1")
    house.end_turn()
    house.record("n1", publish_record(1, "a"), 100)
    house.end_turn()
    house.switchboard.links.down.clear()
    house.mirrors.link_up("n1")
    house.end_turn()
    assert len(house.switchboard.take_json(frames.STATEMENT, "n1")) == 1
    assert [frames.decode_pair(raw) for raw in house.switchboard.take(frames.ACKNOWLEDGED, "n1")] == [(100, 100)]


def test_the_numbers_of_a_stream_end_with_it():
    house = House("n2")
    house.mirrors.follow(Copy(1, True))
    house.offer("n1")
    house.end_turn()
    house.record("n1", publish_record(1, "a"), 5000)
    house.mirrors.link_closed("n1")  # a new life of n1 counts from the beginning
    house.mirrors.flush()
    assert house.switchboard.take(frames.ACKNOWLEDGED) == []
    house.offer("n1", next_position=2)
    house.record("n1", publish_record(2, "b"), 100)
    house.switchboard.end_turn()
    assert [frames.decode_pair(raw) for raw in house.switchboard.take(frames.ACKNOWLEDGED)] == [(100, 99)]


def test_records_of_another_term_are_refused_ahead_of_their_acknowledgement():
    house = House("n2")
    house.mirrors.follow(Copy(1, True))
    house.offer("n1", term=TERM + 5)
    house.end_turn()
    house.switchboard.links.sent.clear()
    house.record("n3", publish_record(1, "a"), 100)
    house.switchboard.end_turn()
    assert [kind for _, kind, _ in house.switchboard.links.sent] == [frames.UNAPPLIED, frames.ACKNOWLEDGED]
    assert [frames.decode_triple(raw) for raw in house.switchboard.take(frames.UNAPPLIED, "n3")] == [(1, TERM + 5, 100)]


def test_an_offer_waits_for_the_commit_that_makes_this_node_a_mirror():
    house = House("n2")
    house.offer("n1")
    house.end_turn()
    assert house.switchboard.take_json(frames.STATEMENT) == []
    house.offer("n3", term=TERM - 1)  # a master of the past that has just woken up
    house.mirrors.follow(Copy(1, True))
    house.end_turn()
    assert len(house.switchboard.take_json(frames.STATEMENT, "n1")) == 1
    assert house.mirrors.statistics() == {1: 0}


def test_what_a_new_master_does_not_have_goes():
    house = House("n2")
    house.mirrors.follow(Copy(1, True))
    house.offer("n1")
    house.record("n1", publish_record(1, "a", "b"), 100)
    offer = Offer(1, TERM + 5, [(TERM, 1), (TERM + 5, 2)], 2)  # it has a, and not b
    house.switchboard.hear("n3", frames.OFFER, frames.encode_json(asdict(offer)))
    assert len(house.mirrors.leave(1).line) == 1


def test_of_a_master_whose_queue_is_deleted_nothing_is_acknowledged_any_more():
    house = House()
    local = house.lead(bodies=["a"])
    house.hear_statement()
    house.end_turn()
    assert house.followers.concerned() == [local]
    local.end()
    house.followers.unlead(1)
    assert list(house.switchboard.transit.masters())
    assert house.followers.concerned() == []
    house.hear_acknowledged(1 << 40, 1 << 40)
    assert house.entering == []
