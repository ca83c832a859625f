"""The sums over a node's queues: never behind, and what a deleted queue has done still counts."""

from typing import ClassVar

import trio

from broker.vhosts.totals import STEP_QUEUES
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.events import Content
from tests.vhosts.door import open_house
from tests.vhosts.room import open_hall

LIMITED = {"x-max-length": 2}


async def ask_for(client, name, **arguments):
    await client.ask(1, methods.QueueDeclare(queue=name, arguments=arguments), methods.QueueDeclareOk)


async def sums(house):
    totals = house.hall.guests.totals
    await totals.count()
    return {name: value for name, value in totals.sums.items() if value and name != "resident_bytes"}


async def test_sums_follow_the_queues(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        assert await sums(house) == {}
        await ask_for(client, "a")
        await ask_for(client, "b")
        for name in "a", "b", "b":
            client.connection.publish(1, "", name, b"body")
        await client.ask(1, basic.BasicGet(queue="b"), Content)
        ready, counted = {"messages_ready": 2, "message_bytes_ready": 8}, {"published": 3, "got": 1}
        for _ in range(2):
            assert await sums(house) == {**counted, **ready, "messages_unacked": 1, "message_bytes_unacked": 4}
            assert house.hall.guests.totals.queues == 2
        assert house.hall.guests.totals.sums["resident_bytes"] > 0
        await client.ask(1, methods.QueueDelete(queue="b"), methods.QueueDeleteOk)
        assert await sums(house) == {**counted, "messages_ready": 1, "message_bytes_ready": 4}
        await client.ask(1, methods.QueueDelete(queue="a"), methods.QueueDeleteOk)
        assert await sums(house) == counted
        assert house.hall.guests.totals.sums["resident_bytes"] == 0


async def test_deaths_are_told_apart(autojump_clock):
    async with open_house() as house:
        client = await house.client()
        await ask_for(client, "dlq")
        await ask_for(client, "lost", **LIMITED)
        await ask_for(client, "kept", **LIMITED, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"})
        for name in "lost", "kept", "kept":
            for _ in range(3):
                client.connection.publish(1, "", name, b"x")
        await client.ask(1, basic.BasicGet(queue="kept"), Content)
        client.connection.call(1, basic.BasicReject(1, requeue=False))
        client.connection.publish(1, "", "kept", b"x")
        await ask_for(client, "dlq")
        totals = house.hall.guests.totals
        await totals.count()
        assert totals.deaths == {
            "classic": {("maxlen", "disabled"): 1, ("maxlen", "at_most_once"): 4, ("rejected", "at_most_once"): 1},
            "quorum": {},
        }
        assert totals.sums["dead_lettered"] == 5
        assert totals.arrived == 0, "nothing had to arrive"


async def test_letters_that_must_arrive_are_counted_when_they_have(autojump_clock):
    at_least_once = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dlq",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    async with open_house() as house:
        client = await house.client()
        await ask_for(client, "dlq")
        declare = methods.QueueDeclare(queue="q", durable=True, arguments=at_least_once)
        await client.ask(1, declare, methods.QueueDeclareOk)
        client.connection.publish(1, "", "q", b"x")
        await client.ask(1, basic.BasicGet(queue="q"), Content)
        client.connection.call(1, basic.BasicReject(1, requeue=False))
        await ask_for(client, "dlq")
        await trio.sleep(1)
        totals = house.hall.guests.totals
        await totals.count()
        assert totals.deaths["quorum"] == {("rejected", "at_least_once"): 1}
        assert totals.arrived == 1


class Watched:
    """Counters that tell when somebody looks at them."""

    deaths: ClassVar = {}

    def __init__(self, values, looks):
        self._values = values
        self._looks = looks

    def values(self):
        self._looks.append(self)
        return self._values()


async def test_queues_at_rest_are_not_looked_at_again():
    async with open_hall() as hall:
        for number in range(5):
            await hall.declarations.declare_plain("/", f"q{number}")
        locals_ = [*hall.guests.locals.values()]
        for local in locals_:
            local.switchboard.end_turn()
        await hall.guests.totals.count()
        looks = []
        for local in locals_:
            values = local.queue.counters.values
            local.queue.counters = Watched(values, looks)
        await hall.guests.totals.count()
        assert looks == []
        locals_[3].use()
        locals_[3].switchboard.end_turn()
        await hall.guests.totals.count()
        assert looks == [locals_[3].queue.counters]
        assert STEP_QUEUES < 1000, "a millisecond"
