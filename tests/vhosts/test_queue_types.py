"""What each type of queue takes and refuses, as RabbitMQ 3.10.8 answered."""

import pytest

from broker.amqp.errors import ChannelException, ConnectionException
from broker.cluster import schema
from broker.vhosts.arguments import check_queue_arguments
from broker.vhosts.client import User
from broker.vhosts.queue_types import check_deletion, check_get, check_nameless, check_prefetch, check_properties
from tests.vhosts.room import open_hall
from tests.vhosts.test_arguments import client

QUEUE = "queue 'q' in vhost '/'"
QUORUM = {"x-queue-type": "quorum"}


def refused(call, *arguments, **properties):
    with pytest.raises((ChannelException, ConnectionException)) as caught:
        call(*arguments, **properties)
    return type(caught.value), caught.value.code, caught.value.why


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("foo", "\"unsupported queue type 'foo'\""),
        ("rabbit_quorum_queue", "\"unsupported queue type 'rabbit_quorum_queue'\""),
        (5, "{unacceptable_type,signedint}"),
        (True, "{unacceptable_type,bool}"),
    ],
)
def test_a_word_that_is_no_type(word, why):
    answer = refused(check_queue_arguments, client(), "q", {"x-queue-type": word})
    assert answer == (ChannelException, 406, f"invalid arg 'x-queue-type' for {QUEUE}: {why}")


def test_streams_are_not_there():
    answer = refused(check_queue_arguments, client(), "q", {"x-queue-type": "stream"})
    assert answer == (ConnectionException, 540, f"{QUEUE} of queue type 'stream': streams are not supported")


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        ("quorum", "x-max-priority", 5),
        ("quorum", "x-queue-mode", "default"),
        ("quorum", "x-queue-version", 2),
        ("quorum", "x-queue-master-locator", "min-masters"),
        ("quorum", "x-initial-cluster-size", 3),
        ("quorum", "x-max-age", "1h"),
        ("quorum", "x-stream-max-segment-size-bytes", 100),
        ("classic", "x-queue-leader-locator", "balanced"),
        ("classic", "x-queue-leader-locator", 5),
        ("classic", "x-quorum-initial-group-size", 3),
        ("classic", "x-delivery-limit", 3),
        ("classic", "x-dead-letter-strategy", "at-most-once"),
        ("classic", "x-max-in-memory-length", 5),
        ("classic", "x-max-age", "1h"),
    ],
)
def test_an_argument_of_another_type(kind, argument, value):
    answer = refused(check_queue_arguments, client(), "q", {"x-queue-type": kind, argument: value})
    why = f"invalid arg '{argument}' for {QUEUE} of queue type rabbit_{kind}_queue"
    assert answer == (ChannelException, 406, why)


@pytest.mark.parametrize(
    ("argument", "value", "why"),
    [
        ("x-quorum-initial-group-size", 0, "{value_zero,0}"),
        ("x-quorum-initial-group-size", -1, "{value_negative,-1}"),
        ("x-queue-leader-locator", "foo", "invalid_queue_locator_arg"),
        ("x-dead-letter-strategy", "foo", "invalid_dlx_strategy"),
        ("x-max-in-memory-length", -5, "{value_negative,-5}"),
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-overflow", "foo", "invalid_overflow"),
    ],
)
def test_a_value_that_a_quorum_queue_cannot_obey(argument, value, why):
    answer = refused(check_queue_arguments, client(), "q", {**QUORUM, argument: value})
    assert answer == (ChannelException, 406, f"invalid arg '{argument}' for {QUEUE}: {why}")


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-message-ttl": 0, "x-expires": 1, "x-max-length": 5, "x-max-length-bytes": 5, "x-mine": 1},
        {"x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-most-once"},
        {"x-delivery-limit": 0, "x-quorum-initial-group-size": 5, "x-queue-leader-locator": "least-leaders"},
        {"x-single-active-consumer": True, "x-max-in-memory-length": 0, "x-delivery-limit": "nonsense"},
    ],
)
def test_what_a_quorum_queue_takes(arguments):
    check_queue_arguments(client(), "q", {**QUORUM, **arguments})


def test_properties_that_a_quorum_queue_cannot_have():
    fit = {"durable": True, "exclusive": False, "auto_delete": False}
    check_properties(QUEUE, QUORUM, **fit)
    check_properties(QUEUE, {}, durable=False, exclusive=True, auto_delete=True)
    for changed, name in (
        ({"durable": False}, "non-durable"),
        ({"exclusive": True}, "exclusive-owner"),
        ({"auto_delete": True, "exclusive": True, "durable": False}, "auto-delete"),
    ):
        answer = refused(check_properties, QUEUE, QUORUM, **fit | changed)
        assert answer == (ChannelException, 406, f"invalid property '{name}' for {QUEUE}")


def test_a_quorum_queue_needs_a_name():
    check_nameless({})
    why = "Cannot declare a server-named queue for type rabbit_quorum_queue"
    assert refused(check_nameless, QUORUM) == (ChannelException, 406, why)


def test_a_quorum_queue_is_deleted_without_conditions():
    check_deletion(QUEUE, QUORUM, if_unused=False, if_empty=False)
    check_deletion(QUEUE, {}, if_unused=True, if_empty=True)
    for flag in ("if_unused", "if_empty"):
        answer = refused(check_deletion, QUEUE, QUORUM, **{"if_unused": False, "if_empty": False, flag: True})
        why = f"queue.delete operations with {flag.replace('_', '-')} flag set are not supported by quorum queues"
        assert answer == (ConnectionException, 540, f"cannot delete {QUEUE}. {why}")


def test_nobody_gets_from_a_quorum_queue_with_a_single_active_consumer():
    check_get(QUEUE, QUORUM)
    check_get(QUEUE, {"x-single-active-consumer": True})
    why = "basic.get operations are not supported by quorum queues with single active consumer"
    answer = refused(check_get, QUEUE, {**QUORUM, "x-single-active-consumer": True})
    assert answer == (ChannelException, 405, f"cannot obtain access to locked {QUEUE}. {why}")


def test_a_quorum_queue_knows_no_limit_of_a_whole_channel():
    check_prefetch(QUEUE, QUORUM, shared=False)
    check_prefetch(QUEUE, {}, shared=True)
    answer = refused(check_prefetch, QUEUE, QUORUM, shared=True)
    assert answer == (ConnectionException, 540, f"{QUEUE} does not support global qos")


QUORUM_BY_DEFAULT = {"do": "put_vhost", "name": "/", "default_queue_type": "quorum"}


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"durable": True}, "quorum"),
        ({}, None),
        ({"durable": True, "auto_delete": True}, None),
        ({"durable": True, "exclusive": True}, None),
        ({"durable": True, "arguments": {"x-queue-type": "classic"}}, "classic"),
    ],
)
async def test_queues_that_can_be_have_the_type_of_their_vhost(facts, kind, autojump_clock):
    async with open_hall() as hall:
        await hall.tree.propose(QUORUM_BY_DEFAULT)
        _, guest = hall.open_vhost(User("guest"), "/", "c")
        plain = {"passive": False, "durable": False, "exclusive": False, "auto_delete": False, "arguments": {}}
        for _ in range(2):
            await hall.declarations.declare_queue(guest, "q", **(plain | facts))
        assert schema.queue(hall.tree.tree, "/", "q").arguments.get("x-queue-type") == kind


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("", {}, "Cannot declare a server-named queue for type rabbit_quorum_queue"),
        (
            "q",
            {"x-max-priority": 3},
            "invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue",
        ),
    ],
)
async def test_the_type_of_the_vhost_forbids_what_it_forbids(name, arguments, why, autojump_clock):
    async with open_hall() as hall:
        await hall.tree.propose(QUORUM_BY_DEFAULT)
        _, guest = hall.open_vhost(User("guest"), "/", "c")
        flags = {"passive": False, "durable": True, "exclusive": False, "auto_delete": False}
        with pytest.raises(ChannelException) as caught:
            await hall.declarations.declare_queue(guest, name, **flags, arguments=arguments)
        assert (caught.value.code, caught.value.why) == (406, why)
