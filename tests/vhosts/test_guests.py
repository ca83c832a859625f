"""Clients of other nodes at masters here: frames and calls in, frames and answers out."""

import pytest
import trio

from broker.mirroring.copy import Copy
from broker.queues.line import Line
from broker.queues.page import Page
from broker.vhosts.guests import Guests
from broker.wire import queue_frames as frames
from broker.wire import records
from broker.wire.content import body_of
from tests.mirroring.lane import run_of
from tests.vhosts.fakes import FakeSwitchboard
from tests.vhosts.test_local import TERM, local_of


class House:
    """Guests at one queue (id 1) that nobody logs."""

    def __init__(self, **settings):
        self.switchboard = FakeSwitchboard()
        self.guests = Guests(self.switchboard)
        self.local = local_of(self.switchboard, durable=False, **settings)
        self.guests.locals[1] = self.local

    async def call(self, do, peer="n2", *, term=TERM, attachment=0, **fields):
        place = {"queue": 1, "term": term, "attachment": attachment}
        return await self.switchboard.handlers[do](peer, {"do": do, **place, **fields})

    async def attach(self, peer="n2", *, attachment=1, answered=0, settles=(), settled=0):
        """How far the master has that node's publications."""
        told = {"settles": settles, "settled": settled}
        answer, _ = await self.call(
            "origin", peer, attachment=attachment, origin=f"{peer}/1", answered=answered, **told
        )
        return answer.get("highest")

    async def consume(self, number, peer="n2", *, grant=100, **facts):
        wanted = {"tag": "c", "ack_required": True, "exclusive": False, "priority": 0, **facts}
        answer, _ = await self.call("consume", peer, number=number, **wanted)
        if grant:
            self.credit(number, grant, peer)
        return answer

    def credit(self, number, total, peer="n2"):
        self.switchboard.hear(peer, frames.CREDIT, frames.encode_triple(1, number, total))

    def settle(self, number, what, first=0, last=0, peer="n2"):
        self.switchboard.hear(peer, frames.SETTLE, frames.encode_settle(1, number, what, first, last))

    def delivered(self, peer="n2"):
        """(consumer, bodies) of everything sent since the last call."""
        found = []
        for payload in self.switchboard.take(frames.DELIVER, peer):
            number, start = frames.decode_deliver(payload)
            record, _ = records.decode(payload, start)
            found.append((number, [body_of(content).decode() for content in record.run.contents]))
        return found


@pytest.fixture
def house():
    return House()


async def test_a_guest_gets_what_its_node_granted(house):
    house.local.publish(run_of("a", "b", "c"), None)
    assert await house.consume(7, grant=0) == {}
    assert house.delivered() == []
    house.credit(7, 2)
    assert house.delivered() == [(7, ["a", "b"])]
    house.credit(7, 2)
    house.settle(7, frames.ACKNOWLEDGE, 1, 2)
    assert house.delivered() == []
    house.credit(7, 3)
    assert house.delivered() == [(7, ["c"])]
    assert house.local.queue.messages_unacked == 1


async def test_a_congested_link_holds_deliveries_back(house):
    house.switchboard.congested["n2"] = set()
    await house.consume(7)
    await house.consume(7, "n3")
    house.local.publish(run_of("a"), None)
    house.local.publish(run_of("b"), None)
    assert (house.delivered("n2"), house.delivered("n3")) == ([], [(7, ["a"]), (7, ["b"])])
    house.settle(7, frames.RELEASE, peer="n3")
    waiters = house.switchboard.congested.pop("n2")
    for waiter in waiters:
        waiter.wake()
    assert house.delivered("n2") == [(7, ["a"]), (7, ["b"])]


async def test_who_is_not_master_says_so(house):
    assert await house.call("counts", term=TERM + 1) == ({"not_master": True}, b"")
    house.guests.leave(house.local)
    assert await house.call("counts") == ({"not_master": True}, b"")


async def test_a_get_that_waits_while_the_master_changes_is_told_to_ask_the_next(house, nursery, autojump_clock):
    house.local = house.guests.locals[1] = local_of(house.switchboard)
    house.local.publish(run_of("a"), None)
    house.local.queue.open_upto = 0
    answers = []

    async def ask():
        answers.append(await house.call("get", number=5, ack_required=True))

    nursery.start_soon(ask)
    await trio.sleep(1)
    house.guests.leave(house.local)
    house.local.end()
    await trio.sleep(1)
    assert answers == [({"not_master": True}, b"")]


async def test_exclusive_use_is_answered(house):
    await house.consume(7, exclusive=True)
    assert await house.consume(8, "n3", grant=0) == {"in_use": True}


async def test_fetched_messages_are_held_until_they_are_answered(house):
    house.local.publish(run_of("a", "b"), None)
    answer, attachment = await house.call("get", number=5, ack_required=True)
    record, _ = records.decode(attachment)
    assert (answer, record.run.first) == ({"messages_ready": 1}, 1)
    house.settle(5, frames.REQUEUE, 1, 1)
    assert house.local.queue.messages_ready == 2
    await house.call("get", number=6, ack_required=False)
    await house.call("get", number=6, ack_required=False)
    assert await house.call("get", number=6, ack_required=False) == ({"empty": True}, b"")


async def test_a_link_that_ends_gives_everything_back(house):
    house.local.publish(run_of("a", "b", "c"), None)
    await house.consume(7, grant=2)
    await house.call("get", number=8, ack_required=True)
    await house.consume(7, "n3", grant=0)
    house.guests.peer_gone("n2")
    statistics = house.local.statistics()
    assert (statistics["messages_ready"], statistics["consumers"]) == (3, 1)


async def test_who_attaches_again_has_given_up_what_it_held_and_others_have_not():
    house = House(auto_delete=True)
    house.local.publish(run_of("a", "b", "c"), None)
    await house.consume(7, grant=1)
    await house.call("get", number=8, ack_required=True)
    await house.consume(9, "n3", grant=1)
    assert await house.attach() == 0
    statistics = house.local.statistics()
    assert (statistics["messages_ready"], statistics["messages_unacked"], statistics["consumers"]) == (2, 1, 1)
    house.guests.peer_gone("n3")
    assert house.local.deleted


async def test_a_master_that_is_no_more_has_no_guests_and_the_others_keep_theirs(house):
    other = local_of(house.switchboard, copy=Copy(2, False), durable=False)
    house.guests.locals[2] = other
    for queue, number in ((1, 7), (2, 8)):
        wanted = {"tag": "c", "ack_required": True, "exclusive": False, "priority": 0}
        await house.call("consume", queue=queue, number=number, **wanted)
    house.guests.leave(house.local)
    for number in (7, 8):
        house.credit(number, 1)
    for local in (house.local, other):
        local.publish(run_of("a"), None)
    assert [number for number, _ in house.delivered()] == [8]
    house.guests.peer_gone("n2")
    assert (len(other.queue.consumers), other.queue.messages_ready) == (0, 1)


async def test_the_last_guest_to_cancel_ends_an_auto_delete_queue(nursery):
    house = House(auto_delete=True)
    ended = []

    async def delete():
        ended.append(True)

    house.local.delete = delete
    await house.consume(7)
    await house.call("cancel", number=99)
    assert not ended
    await house.call("cancel", number=7)
    assert ended == [True]


async def test_of_a_closed_channels_holders_nothing_is_left(house):
    house.local.publish(run_of("a", "b", "c"), None)
    await house.consume(7, grant=1)
    await house.call("get", number=8, ack_required=True)
    house.settle(7, frames.RELEASE)
    house.settle(8, frames.RELEASE)
    statistics = house.local.statistics()
    assert (statistics["messages_ready"], statistics["consumers"]) == (3, 0)
    assert (house.guests._guests, house.guests._fetchers) == ({}, {})


async def test_a_closed_channel_ends_an_auto_delete_queue():
    house = House(auto_delete=True)
    await house.consume(7)
    house.settle(7, frames.RELEASE)
    assert house.local.deleted


async def test_publications_of_another_term_are_not_taken(house):
    run = run_of("a")
    run.origin, run.sequence = "n2/1", 1
    house.switchboard.hear("n2", frames.PUBLISH, records.encode_publish(1, TERM, run))
    assert house.local.queue.messages_ready == 0, "of a node that has not attached"
    await house.attach()
    for term in (TERM - 1, TERM + 1, TERM):
        house.switchboard.hear("n2", frames.PUBLISH, records.encode_publish(1, term, run))
    assert house.local.queue.messages_ready == 1
    house.switchboard.end_turn()
    assert [frames.decode_pair(raw) for raw in house.switchboard.take(frames.ANSWERED, "n2")] == [(1, 1)]
    assert await house.attach(attachment=2) == 1


async def test_nothing_is_taken_of_a_life_that_was_ended_though_its_link_stands(house):
    await house.attach()
    assert await house.consume(7, attachment=1) == {}
    house.guests.is_over = lambda origin: origin == "n2/1"
    house.guests.life_changed("n3")
    house.local.publish(run_of("a"), None)
    assert house.delivered() == [(7, ["a"])]
    house.guests.life_changed("n2")
    run = run_of("b")
    run.origin, run.sequence = "n2/1", 1
    house.switchboard.hear("n2", frames.PUBLISH, records.encode_publish(1, TERM, run))
    assert (house.local.queue.messages_ready, house.local.queue.messages_unacked) == (1, 0)
    assert await house.call("counts", attachment=1) == ({"not_master": True}, b"")
    assert await house.attach(attachment=2) is None
    house.switchboard.hear("n2", frames.PUBLISH, records.encode_publish(1, TERM, run))
    assert house.local.queue.messages_ready == 1


async def test_a_late_call_of_an_attachment_that_was_given_up_is_not_served(house):
    await house.attach(attachment=4)
    for late in (3, 5):
        assert await house.call("counts", attachment=late) == ({"not_master": True}, b"")
    assert await house.attach(attachment=3) is None
    assert (await house.call("counts", attachment=4))[0]["messages"] == 0
    house.guests.peer_gone("n2")
    assert await house.call("counts", attachment=4) == ({"not_master": True}, b"")


async def test_a_master_that_ends_before_it_is_certain_leaves_the_count_to_the_next(house, monkeypatch):
    async def leased():
        house.local.end()

    monkeypatch.setattr(house.switchboard, "leased", leased)
    assert await house.call("counts") == ({"not_master": True}, b"")


async def test_what_a_node_has_had_answered_elsewhere_is_no_gap_here(house):
    assert await house.attach(answered=7) == 7
    run = run_of("a")
    run.origin, run.sequence = "n2/1", 8
    house.switchboard.hear("n2", frames.PUBLISH, records.encode_publish(1, TERM, run))
    assert house.local.queue.messages_ready == 1


async def test_purging_and_counting(house, nursery, autojump_clock):
    house.local.publish(run_of("a", "b"), None)
    assert (await house.call("counts"))[0]["messages_ready"] == 2
    answers = []

    async def purge():
        answers.append((await house.call("purge"))[0])

    nursery.start_soon(purge)
    await trio.sleep(1)
    house.switchboard.end_turn()
    await trio.sleep(1)
    nursery.start_soon(purge)
    await trio.sleep(1)
    house.local.end()
    await trio.sleep(1)
    assert answers == [{"count": 2}, {"not_master": True}]


async def test_what_is_fetched_for_a_node_that_has_gone_meanwhile_returns(house, nursery, autojump_clock):
    house.local = house.guests.locals[1] = local_of(house.switchboard)
    house.local.publish(run_of("a"), None)
    house.local.queue.open_upto = 0
    await house.attach()

    async def ask():
        await house.call("get", number=5, ack_required=True, attachment=1)

    nursery.start_soon(ask)
    await trio.sleep(1)
    house.guests.peer_gone("n2")
    house.local.queue.open_upto = 1
    house.local.widen()
    await trio.sleep(1)
    assert (house.local.queue.messages_ready, house.local.queue.messages_unacked) == (1, 0)


async def test_a_loan_is_not_repaid_while_what_it_is_for_is_loaded(house):
    copy = Copy(1, False, line=Line([Page(1, 10, 100)]), next_position=11)
    house.local = house.guests.locals[1] = local_of(house.switchboard, durable=False, copy=copy)
    await house.consume(7, grant=0)
    house.switchboard.hear("n2", frames.LOAN, frames.encode_triple(1, 7, 4))
    house.switchboard.end_turn()
    assert not house.switchboard.take(frames.REPAID)
    house.local.queue.purge()
    house.switchboard.touch(house.local)
    house.switchboard.end_turn()
    assert len(house.switchboard.take(frames.REPAID)) == 1


def settled(house, peer="n2"):
    return [frames.decode_triple(payload) for payload in house.switchboard.take(frames.SETTLED, peer)]


async def test_a_consumers_node_hears_that_its_answers_are_safe(house):
    house.local.publish(run_of("a", "b"), None)
    await house.consume(7)
    house.switchboard.hear("n2", frames.SETTLE, frames.encode_settle(1, 7, frames.ACKNOWLEDGE, 1, 2, 5))
    house.switchboard.end_turn()
    assert settled(house) == [(1, frames.ACKNOWLEDGE, 5)]


async def test_what_a_node_tells_while_it_attaches_is_told_beside_what_it_told_first():
    house = House(dead_letter_exchange="x")
    house.local.publish(run_of("a", "b"), None)
    await house.attach(settles=[(frames.REJECT, [(TERM, 1)], [(1, 1)])], settled=1)
    await house.attach(settles=[(frames.ACKNOWLEDGE, [(TERM, 1)], [(2, 2)])], settled=2)
    house.local.forget_dead(1, 1)
    house.switchboard.end_turn()
    assert sorted(settled(house)) == [(1, frames.ACKNOWLEDGE, 2), (1, frames.REJECT, 1)]


async def test_answers_from_before_a_failover_count_where_the_histories_are_one(house):
    house.local.publish(run_of("a", "b", "c", "d"), None)
    answers = [(frames.ACKNOWLEDGE, [(TERM, 1)], [(1, 1), (3, 3)])]
    assert await house.attach(settles=answers, settled=4) == 0
    house.switchboard.end_turn()
    assert settled(house) == [(1, frames.ACKNOWLEDGE, 4)]
    await house.consume(7, attachment=1)
    assert house.delivered() == [(7, ["b"]), (7, ["d"])]
    foreign = [(frames.ACKNOWLEDGE, [(TERM - 1, 1)], [(2, 2), (4, 4)])]  # other messages stood there
    await house.attach(attachment=2, settles=foreign, settled=5)
    house.switchboard.end_turn()
    assert settled(house) == [(1, frames.ACKNOWLEDGE, 5)]
    assert house.local.queue.messages_unacked + house.local.queue.messages_ready == 2


async def test_rejections_from_before_a_failover_count_for_what_nobody_has_got_since():
    house = House(dead_letter_exchange="x")
    house.local.publish(run_of("a", "b"), None)
    await house.consume(7, "n3", grant=1)
    await house.attach(settles=[(frames.REJECT, [(TERM, 1)], [(1, 2)])], settled=1)
    house.switchboard.end_turn()
    assert [(letter.run.first, letter.reason) for letter in house.local.letters] == [(2, "rejected")]
    assert house.local.queue.messages_unacked == 1


async def test_all_rejections_from_before_a_failover_wait_for_their_letters():
    house = House(dead_letter_exchange="x")
    house.local.publish(run_of("a", "b", "c"), None)
    await house.attach(settles=[(frames.REJECT, [(TERM, 1)], [(1, 1), (3, 3)])], settled=2)
    house.switchboard.end_turn()
    house.local.forget_dead(1, 1)
    house.switchboard.end_turn()
    assert (1, frames.REJECT, 2) not in settled(house)
    house.local.forget_dead(3, 3)
    house.switchboard.end_turn()
    assert settled(house)[-1] == (1, frames.REJECT, 2)


@pytest.mark.parametrize(("term", "count"), [(TERM - 1, 1), (TERM, 0)])
async def test_what_came_back_counts_where_its_master_has_not_counted_it(term, count):
    house = House(counts_returns=True)
    house.local.publish(run_of("a", "b"), None)
    house.local.master.copy.terms.entries = [(TERM - 1, 1), (TERM, 3)]
    history = [(TERM - 1, 1), (TERM, 3)] if term == TERM else [(TERM - 1, 1)]
    await house.attach(settles=[(frames.RELEASE, history, [(1, 1)])], settled=1)
    assert [run.returned for run in house.local.queue.living()] == ([1, 0] if count else [0])
