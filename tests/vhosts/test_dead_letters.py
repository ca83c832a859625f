"""Dead letters between real queues of one hall: who buries, who may forget, and what is never buried twice."""

import gc
from contextlib import asynccontextmanager

import trio

from broker.queues.dead_letter import DeadLetter
from broker.vhosts.dead_letters import Attempt, Burial, DeadLetters
from broker.wire.basic_methods import (
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicReject,
    ConfirmSelect,
    ConfirmSelectOk,
)
from broker.wire.content import body_of, make_content
from broker.wire.events import Content
from broker.wire.message import Run, Traits, make_address
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from broker.wire.properties import Properties, headers_of
from tests.queues.fakes import run_of
from tests.vhosts.door import open_house
from tests.vhosts.fakes import FakeSource, FakeTarget


def test_a_burial_ends_with_its_last_target():
    ends = []
    burial = Burial(2, lambda: ends.append(True))
    burial.refuse(0, 1)
    burial.answer()
    assert not ends
    burial.answer()
    assert ends == [True]


def attempts() -> int:
    """How many there are in this process."""
    return sum(isinstance(one, Attempt) for one in gc.get_objects())


def test_nothing_is_left_of_a_letter_that_is_safe():
    target, source = FakeTarget(), FakeSource()
    letters = DeadLetters("q", lambda *way: [target], lambda exchange: False)
    gc.disable()
    try:
        of_other_tests = attempts()
        letters.send(source, DeadLetter("rejected", run_of(2, first=5), "dlx", None))
        target.got.pop()[1].answer()
        assert attempts() == of_other_tests
    finally:
        gc.enable()


def test_the_source_forgets_when_every_target_has_the_letter_safe():
    one, two, source = FakeTarget("one"), FakeTarget("two"), FakeSource()
    letters = DeadLetters("q", lambda exchange, key, headers, content: [one, two], lambda exchange: False)
    letters.send(source, DeadLetter("rejected", run_of(2, first=5), "dlx", None))
    (run, pending), (_, other) = one.got[0], two.got[0]
    assert run.address == make_address("dlx", "q")
    pending.answer()
    assert source.forgotten == []
    other.answer()
    assert source.forgotten == [(5, 6)]


def test_a_letter_that_leads_nowhere_is_forgotten_at_once():
    source = FakeSource()
    DeadLetters("q", lambda *_: [], lambda _: False).send(
        source, DeadLetter("expired", run_of(1, first=5), "dlx", "key")
    )
    assert source.forgotten == [(5, 5)]


def test_a_letter_that_must_arrive_is_kept_until_somebody_takes_it():
    source, target = FakeSource(), FakeTarget("t")
    ways = [[], [target], [target]]
    letters = DeadLetters("q", lambda *_: ways.pop(0), lambda _: False)
    dead = DeadLetter("rejected", run_of(2, first=5), "dlx", None, must_arrive=True)
    letters.send(source, dead)
    assert (source.kept, source.forgotten) == ([(5, 6, dead.run.address)], [])
    letters.send(source, dead)
    _, pending = target.got[0]
    pending.refuse(0, 1)
    pending.answer()
    assert (len(source.kept), source.forgotten) == (2, [])
    letters.send(source, dead)
    target.got[1][1].answer()
    assert (len(source.kept), source.forgotten) == (2, [(5, 6)])


def test_a_letter_waits_while_a_target_has_no_master():
    source, here, away = FakeSource(), FakeTarget("here"), FakeTarget("away", "waiting")
    letters = DeadLetters("q", lambda *_: [here, away], lambda _: False)
    dead = DeadLetter("expired", run_of(2, first=5), "dlx", None)
    letters.send(source, dead)
    assert (source.kept, source.forgotten) == ([(5, 6, dead.run.address)], [])
    assert (here.got, away.got) == ([], []), "a later try would repeat it"


def test_a_letter_waits_when_a_target_loses_its_master_and_not_when_it_is_full():
    source, target = FakeSource(), FakeTarget("t")
    letters = DeadLetters("q", lambda *_: [target], lambda _: False)
    for state in ("unavailable", "running"):
        target.state = "running"
        letters.send(source, DeadLetter("expired", run_of(2, first=5), "dlx", None))
        _, pending = target.got.pop()
        target.state = state
        pending.refuse(0, 2)
        target.state = "running"  # again, when the last one answers
        pending.answer()
    assert (len(source.kept), source.forgotten) == (1, [(5, 6)])


def test_what_was_pushed_out_waits_for_nobody():
    source, away = FakeSource(), FakeTarget("away", "waiting")
    letters = DeadLetters("q", lambda *_: [away], lambda _: False)
    letters.send(source, DeadLetter("maxlen", run_of(1, first=5), "dlx", None))
    letters.send(source, DeadLetter("maxlen", run_of(1, first=0), "dlx", None))
    for _, pending in away.got:
        pending.refuse(0, 1)
        pending.answer()
    assert (len(away.got), source.kept, source.forgotten) == (2, [], [(5, 5), (0, 0)])


def test_what_expires_round_and_round_is_dropped():
    back, source = FakeTarget("q"), FakeSource()
    properties = Properties(headers={"x-death": [{"queue": "q", "reason": "expired", "count": 1}]})
    from_before = Run([make_content(1, properties, b"a", 131072)], make_address("", "q"), Traits(), first=5)
    letters = DeadLetters("q", lambda *_: [back], lambda _: False)
    letters.send(source, DeadLetter("expired", from_before, "", "q"))
    assert (back.got, source.forgotten) == ([], [(5, 5)])


def test_an_exchange_that_chooses_anew_is_asked_for_each_letter():
    one, two, source = FakeTarget("one"), FakeTarget("two"), FakeSource()
    ways = [[one], [two], []]
    letters = DeadLetters("q", lambda *_: ways.pop(0), lambda exchange: exchange == "dlx")
    letters.send(source, DeadLetter("rejected", run_of(3, first=5), "dlx", None))
    assert [len(target.got) for target in (one, two)] == [1, 1]
    assert source.forgotten == [(7, 7)]
    two.got[0][1].answer()
    one.got[0][1].answer()
    assert source.forgotten == [(7, 7), (6, 6), (5, 5)]


@asynccontextmanager
async def house_with(**arguments):
    async with open_house() as house:
        client = await house.client()
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        await client.ask(1, QueueDeclare(queue="dead"), QueueDeclareOk)
        declare = QueueDeclare(
            queue="q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", **named}
        )
        await client.ask(1, declare, QueueDeclareOk)
        yield house, client


async def dead_letter(client):
    client.connection.call(1, BasicGet(queue="dead", no_ack=True))
    got = await client.expect(Content)
    return got.content


async def test_rejected_messages_go_by_the_dead_letter_exchange(autojump_clock):
    async with house_with() as (_, client):
        client.connection.publish(1, "", "q", b"a")
        await client.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        ((tag, _),) = await client.deliveries(1)
        client.connection.call(1, BasicReject(tag, requeue=False))
        found = await dead_letter(client)
        (death,) = headers_of(found)["x-death"]
        assert (body_of(found), death["queue"], death["reason"], death["count"]) == (b"a", "q", "rejected", 1)


async def test_what_outlives_its_time_dies_of_it(autojump_clock):
    async with house_with(x_message_ttl=50) as (house, client):
        client.connection.publish(1, "", "q", b"a")
        await client.flush()
        await _until(lambda: house.vhost.handles["dead"].local.queue.messages_ready == 1)
        assert headers_of(await dead_letter(client))["x-first-death-reason"] == "expired"


async def test_a_full_queue_pushes_out_its_oldest(autojump_clock):
    async with house_with(x_max_length=1) as (house, client):
        for body in (b"a", b"b"):
            client.connection.publish(1, "", "q", body)
        await client.flush()
        await _until(lambda: house.vhost.handles["dead"].local.queue.messages_ready == 1)
        found = await dead_letter(client)
        assert (body_of(found), headers_of(found)["x-first-death-reason"]) == (b"a", "maxlen")


async def test_what_was_refused_may_be_buried_too(autojump_clock):
    async with house_with(x_max_length=1, x_overflow="reject-publish-dlx") as (_, client):
        await client.ask(1, ConfirmSelect(), ConfirmSelectOk)
        for body in (b"a", b"b"):
            client.connection.publish(1, "", "q", body)
        await client.listen()
        await client.listen()
        assert body_of(await dead_letter(client)) == b"b"


async def test_without_the_exchange_they_are_gone(autojump_clock):
    async with house_with(x_dead_letter_exchange="missing") as (house, client):
        client.connection.publish(1, "", "q", b"a")
        await client.ask(1, BasicConsume(queue="q", consumer_tag="c"), BasicConsumeOk)
        ((tag, _),) = await client.deliveries(1)
        client.connection.call(1, BasicReject(tag, requeue=False))
        await client.ask(1, BasicGet(queue="dead"), BasicGetEmpty)
        assert house.vhost.handles["q"].local.statistics()["messages_dying"] == 0


async def _until(condition):
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - nothing rings when it is so
            await trio.sleep(0.01)
