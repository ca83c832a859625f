"""The slow verbs on a real tree of one node: rights, conditions, and RabbitMQ's words for refusals."""

from contextlib import asynccontextmanager

import pytest
import trio

from broker.amqp.errors import ChannelException, ConnectionException
from broker.vhosts.client import User
from broker.wire.message import Run, Traits, make_address
from tests.queues.fakes import FakeConsumer, content
from tests.vhosts.room import open_hall

EXCHANGE = {"passive": False, "durable": False, "auto_delete": False, "internal": False, "arguments": {}}
QUEUE = {"passive": False, "durable": False, "exclusive": False, "auto_delete": False, "arguments": {}}


class Visit:
    """One client in a hall."""

    def __init__(self, hall):
        self.hall = hall
        self.declarations = hall.declarations
        self.vhost, self.client = hall.open_vhost(User("guest"), "/", "a connection")

    def another(self):
        return self.hall.open_vhost(User("guest"), "/", "another connection")[1]

    async def exchange(self, name, kind="direct", client=None, **facts):
        await self.declarations.declare_exchange(client or self.client, name, kind, **(EXCHANGE | facts))

    async def queue(self, name, client=None, **facts):
        return await self.declarations.declare_queue(client or self.client, name, **(QUEUE | facts))

    async def bind(self, queue, source, key="", arguments=None, *, bind=True):
        await self.declarations.bind_queue(self.client, queue, source, key, arguments or {}, bind=bind)

    async def bind_exchange(self, destination, source, key="", *, bind=True):
        await self.declarations.bind_exchange(self.client, destination, source, key, {}, bind=bind)

    async def delete(self, name, *, if_unused=False, if_empty=False, client=None):
        return await self.declarations.delete_queue(client or self.client, name, if_unused=if_unused, if_empty=if_empty)

    def fill(self, name, count):
        contents = [content(b"%d" % number) for number in range(count)]
        self.vhost.handles[name].publish(Run(contents, make_address("", name), Traits()), None)

    async def limit(self, configure=".*", write=".*", read=".*"):
        request = {"do": "put_permission", "user": "guest", "vhost": "/"}
        await self.hall.tree.propose({**request, "configure": configure, "write": write, "read": read})


@asynccontextmanager
async def visit():
    async with open_hall() as hall:
        yield Visit(hall)


@asynccontextmanager
async def refused(code, why):
    with pytest.raises((ChannelException, ConnectionException)) as caught:
        yield
    assert (caught.value.code, caught.value.why) == (code, why)


async def test_a_queue_is_declared_once_and_found_again(autojump_clock):
    async with visit() as guest:
        assert await guest.queue("q", durable=True) == ("q", 0, 0)
        guest.fill("q", 3)
        guest.vhost.handles["q"].local.consume(FakeConsumer(window=0))
        assert await guest.queue("q", durable=True) == ("q", 3, 1)
        assert await guest.queue("q", passive=True) == ("q", 3, 1)
        why = "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
        async with refused(406, why):
            await guest.queue("q")


async def test_names_from_here_are_new_and_those_of_ours_are_reserved(autojump_clock):
    async with visit() as guest:
        first, second = await guest.queue(""), await guest.queue("")
        assert first.name.startswith("amq.gen-")
        assert first.name != second.name
        async with refused(403, f"queue name '{first.name}' contains reserved prefix 'amq.*'"):
            await guest.queue(first.name)
        assert await guest.queue(first.name, passive=True) == first
        async with refused(403, "queue name 'amq.mine' contains reserved prefix 'amq.*'"):
            await guest.queue("amq.mine")
        async with refused(404, "no queue 'q' in vhost '/'"):
            await guest.queue("q", passive=True)


async def test_an_exclusive_queue_belongs_to_its_connection_and_goes_with_it(autojump_clock):
    async with visit() as guest:
        await guest.queue("q", exclusive=True)
        locked = (
            "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on "
            "another connection or the exclusive property value does not match that of the original declaration."
        )
        for passive in (True, False):
            async with refused(405, locked):
                await guest.queue("q", guest.another(), passive=passive, exclusive=True)
        async with refused(405, locked):
            await guest.delete("q", client=guest.another())
        async with refused(405, locked):
            await guest.declarations.purge_queue(guest.another(), "q")
        await guest.declarations.release_connection(guest.client)
        assert "q" not in guest.vhost.handles


async def test_arguments_are_checked_before_anybody_is_asked(autojump_clock):
    async with visit() as guest:
        async with refused(406, "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-1}"):
            await guest.queue("q", arguments={"x-message-ttl": -1})
        assert "q" not in guest.vhost.handles


async def test_deleting_may_depend_on_use_and_content(autojump_clock):
    async with visit() as guest:
        await guest.queue("q")
        guest.fill("q", 2)
        consumer = FakeConsumer(window=0)
        guest.vhost.handles["q"].local.consume(consumer)
        async with refused(406, "queue 'q' in vhost '/' in use"):
            await guest.delete("q", if_unused=True)
        async with refused(406, "queue 'q' in vhost '/' not empty"):
            await guest.delete("q", if_empty=True)
        guest.vhost.handles["q"].local.cancel(consumer)
        assert await guest.delete("q", if_unused=True) == 2
        assert await guest.delete("q") == 0, "what is not there is deleted already"


async def test_purging_counts(autojump_clock):
    async with visit() as guest:
        await guest.queue("q")
        guest.fill("q", 3)
        assert await guest.declarations.purge_queue(guest.client, "q") == 3
        async with refused(404, "no queue 'gone' in vhost '/'"):
            await guest.declarations.purge_queue(guest.client, "gone")


async def test_exchanges(autojump_clock):
    async with visit() as guest:
        await guest.exchange("x", "topic", durable=True)
        await guest.exchange("x", passive=True)
        async with refused(403, "operation not permitted on the default exchange"):
            await guest.exchange("", passive=True)
        async with refused(404, "no exchange 'y' in vhost '/'"):
            await guest.exchange("y", passive=True)
        async with refused(
            406, "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'"
        ):
            await guest.exchange("x", "fanout", durable=True)
        async with refused(503, "unknown exchange type 'x-nosuch'"):
            await guest.exchange("x", "x-nosuch", durable=True)
        async with refused(403, "exchange name 'amq.mine' contains reserved prefix 'amq.*'"):
            await guest.exchange("amq.mine")
        await guest.exchange("amq.topic", "topic", durable=True)
        async with refused(403, "operation not permitted on the default exchange"):
            await guest.exchange("")


async def test_deleting_exchanges(autojump_clock):
    async with visit() as guest:
        await guest.exchange("x")
        await guest.queue("q")
        await guest.bind("q", "x")
        async with refused(406, "exchange 'x' in vhost '/' in use"):
            await guest.declarations.delete_exchange(guest.client, "x", if_unused=True)
        await guest.declarations.delete_exchange(guest.client, "x", if_unused=False)
        assert "x" not in guest.vhost.graph
        await guest.declarations.delete_exchange(guest.client, "x", if_unused=False)
        for name, why in (("", "operation not permitted on the default exchange"),):
            async with refused(403, why):
                await guest.declarations.delete_exchange(guest.client, name, if_unused=False)
        for name in ("amq.direct", "amq.nosuch"):
            async with refused(403, f"deletion of system exchange '{name}' in vhost '/' not allowed"):
                await guest.declarations.delete_exchange(guest.client, name, if_unused=False)


async def test_bindings_need_both_ends_and_unbinding_needs_none(autojump_clock):
    async with visit() as guest:
        await guest.queue("q")
        await guest.exchange("x")
        await guest.bind("q", "x", "key")
        assert [handle.record.name for handle in guest.vhost.find("x", "key", {})] == ["q"]
        async with refused(404, "no exchange 'gone' in vhost '/'"):
            await guest.bind("gone", "gone")
        async with refused(404, "no queue 'gone' in vhost '/'"):
            await guest.bind("gone", "x")
        for queue, source in (("q", "gone"), ("gone", "x"), ("gone", "gone")):
            await guest.bind(queue, source, bind=False)
        async with refused(403, "operation not permitted on the default exchange"):
            await guest.bind("q", "")
        await guest.bind("q", "x", "key", bind=False)
        assert guest.vhost.find("x", "key", {}) == []


async def test_exchanges_are_bound_to_exchanges(autojump_clock):
    async with visit() as guest:
        await guest.queue("q")
        await guest.exchange("x")
        await guest.exchange("y")
        await guest.bind("q", "y", "key")
        await guest.bind_exchange("y", "x", "key")
        assert len(guest.vhost.find("x", "key", {})) == 1
        async with refused(404, "no exchange 'gone' in vhost '/'"):
            await guest.bind_exchange("y", "gone")
        async with refused(404, "no exchange 'gone' in vhost '/'"):
            await guest.bind_exchange("gone", "x")
        async with refused(403, "operation not permitted on the default exchange"):
            await guest.bind_exchange("", "x")


async def test_what_unbinding_deletes_may_be_unbound_once_more(autojump_clock):
    async with visit() as guest:
        await guest.exchange("source", auto_delete=True)
        await guest.exchange("middle", auto_delete=True)
        await guest.queue("q")
        await guest.bind("q", "middle")
        await guest.bind_exchange("middle", "source")
        await guest.bind("q", "middle", bind=False)
        assert "middle" not in guest.vhost.graph
        assert "source" not in guest.vhost.graph
        await guest.bind_exchange("middle", "source", bind=False)


async def test_a_headers_exchange_refuses_what_it_cannot_match(autojump_clock):
    async with visit() as guest:
        await guest.queue("q")
        for arguments in ({"x-match": "some"}, {"x-match": 1}):
            with pytest.raises(ChannelException) as caught:
                await guest.bind("q", "amq.headers", arguments=arguments)
            assert caught.value.code == 406
        await guest.bind("q", "amq.fanout", arguments={"x-match": "some"})


async def test_rights(autojump_clock):
    async with visit() as guest:
        await guest.queue("q")
        await guest.exchange("x")
        await guest.limit(configure="^mine", write="^mine", read="^mine")
        cases = [
            (guest.queue("other"), "queue 'other'"),
            (guest.exchange("other"), "exchange 'other'"),
            (guest.delete("q"), "queue 'q'"),
            (guest.declarations.delete_exchange(guest.client, "x", if_unused=False), "exchange 'x'"),
            (guest.declarations.purge_queue(guest.client, "q"), "queue 'q'"),
            (guest.bind("q", "x"), "queue 'q'"),
            (guest.bind("mine", "x"), "exchange 'x'"),
            (guest.bind_exchange("x", "mine"), "exchange 'x'"),
            (guest.bind_exchange("mine", "x"), "exchange 'x'"),
        ]
        for attempt, what in cases:
            async with refused(403, f"access to {what} in vhost '/' refused for user 'guest'"):
                await attempt
        assert await guest.queue("q", passive=True) == ("q", 0, 0), "a look is free"


async def test_a_queue_declared_by_a_command_is_durable_and_stays_as_it_is(autojump_clock):
    async with visit() as guest:
        await guest.queue("there")
        for name in ("new", "there"):
            await guest.declarations.declare_plain("/", name)
        assert guest.vhost.handles["new"].record.durable
        assert not guest.vhost.handles["there"].record.durable


async def test_an_exclusive_queue_goes_with_a_client_that_did_not_wait_for_it(autojump_clock, monkeypatch):
    async with visit() as guest:
        propose = guest.hall.tree.propose

        async def propose_slowly(request):
            await propose(request)
            await trio.sleep_forever()

        with monkeypatch.context() as patch, trio.move_on_after(1):
            patch.setattr(guest.hall.tree, "propose", propose_slowly)
            await guest.queue("q", exclusive=True)
        assert "q" in guest.vhost.handles
        await guest.hall.close_client(guest.client)
        assert "q" not in guest.vhost.handles
