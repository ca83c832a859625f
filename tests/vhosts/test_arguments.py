import pytest

from broker.amqp.errors import ChannelException
from broker.cluster.records import Owner
from broker.vhosts.access import Access
from broker.vhosts.arguments import check_consumer_arguments, check_exchange_arguments, check_queue_arguments
from broker.vhosts.client import Client, User
from broker.wire.fields import Long, Timestamp


def client(write=".*", read=".*"):
    return Client(User("ann"), "/", Owner("n1", 1, "c"), lambda user, vhost: Access(user, vhost, ".*", write, read))


@pytest.mark.parametrize(
    ("argument", "value", "why"),
    [
        ("x-expires", 0, "{value_zero,0}"),
        ("x-expires", -1, "{value_negative,-1}"),
        ("x-expires", 315360000001, "{value_too_large,315360000001}"),
        ("x-expires", "soon", '"expected integer, got longstr"'),
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-message-ttl", 315360000001, "{value_too_large,315360000001}"),
        ("x-message-ttl", True, '"expected integer, got bool"'),
        ("x-message-ttl", 1.5, '"expected integer, got double"'),
        ("x-message-ttl", [], '"expected integer, got array"'),
        ("x-message-ttl", None, '"expected integer, got void"'),
        ("x-message-ttl", Timestamp(5), '"expected integer, got timestamp"'),
        ("x-max-priority", 256, "{max_value_exceeded,256}"),
        ("x-max-priority", -1, "{value_negative,-1}"),
        ("x-max-length", -5, "{value_negative,-5}"),
        ("x-max-length-bytes", {}, '"expected integer, got table"'),
        ("x-dead-letter-routing-key", "key", "routing_key_but_no_dlx_defined"),
        ("x-dead-letter-routing-key", 1, "{unacceptable_type,signedint}"),
        ("x-overflow", "explode", "invalid_overflow"),
        ("x-overflow", Long(1), "{unacceptable_type,long}"),
        ("x-queue-mode", "busy", "\"unsupported queue mode 'busy'\""),
        ("x-queue-mode", b"lazy", "{unacceptable_type,binary}"),
        ("x-queue-version", 3, "\"unsupported queue version '3'\""),
        ("x-queue-version", "2", '"expected integer, got longstr"'),
        ("x-queue-master-locator", "nearest", "invalid_queue_locator_arg"),
        ("x-single-active-consumer", "yes", "{unacceptable_type,longstr}"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_rabbitmqs_words(argument, value, why):
    with pytest.raises(ChannelException) as caught:
        check_queue_arguments(client(), "q", {argument: value})
    assert (caught.value.code, caught.value.why) == (406, f"invalid arg '{argument}' for queue 'q' in vhost '/': {why}")


def test_a_dead_letter_exchange_is_a_name_before_anything_else():
    with pytest.raises(ChannelException) as caught:
        check_queue_arguments(client(), "q", {"x-dead-letter-exchange": Timestamp(5), "x-expires": 0})
    assert caught.value.why == "invalid type 'timestamp' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"


@pytest.mark.parametrize(
    ("argument", "value", "why"),
    [
        ("x-priority", "high", ': "expected integer, got longstr"'),
        ("x-priority", True, ': "expected integer, got bool"'),
        ("x-cancel-on-ha-failover", 1, ": {unacceptable_type,signedint}"),
        ("x-stream-offset", "first", " of queue type rabbit_classic_queue"),
    ],
)
def test_consumers_arguments(argument, value, why):
    with pytest.raises(ChannelException) as caught:
        check_consumer_arguments("queue 'q' in vhost '/'", {}, {argument: value})
    assert (caught.value.code, caught.value.why) == (406, f"invalid arg '{argument}' for queue 'q' in vhost '/'{why}")


def test_consumers_of_quorum_queues_have_other_arguments():
    quorum = {"x-queue-type": "quorum"}
    check_consumer_arguments("queue 'q' in vhost '/'", quorum, {"x-priority": -5, "x-mine": []})
    with pytest.raises(ChannelException, match=r"'x-cancel-on-ha-failover' .* of queue type rabbit_quorum_queue"):
        check_consumer_arguments("queue 'q' in vhost '/'", quorum, {"x-cancel-on-ha-failover": 1})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-mine": object()},
        {"x-message-ttl": 0, "x-expires": Long(1), "x-max-length": 0, "x-max-priority": 255, "x-queue-version": 2},
        {"x-message-ttl": 315360000000},
        {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "key"},
        {"x-overflow": "reject-publish-dlx", "x-queue-mode": "lazy", "x-queue-type": "classic"},
        {"x-single-active-consumer": True, "x-max-priority": 0},
    ],
)
def test_everything_else_passes(arguments):
    check_queue_arguments(client(), "q", arguments)


def test_dead_letters_need_the_right_to_read_here_and_to_write_there():
    arguments = {"x-dead-letter-exchange": "dlx"}
    with pytest.raises(ChannelException, match="access to queue 'q'"):
        check_queue_arguments(client(read="^other"), "q", arguments)
    with pytest.raises(ChannelException, match="access to exchange 'dlx'"):
        check_queue_arguments(client(write="^other"), "q", arguments)


def test_an_alternate_exchange_is_a_name_that_may_be_written_to():
    check_exchange_arguments(client(), "x", {})
    check_exchange_arguments(client(), "x", {"alternate-exchange": "other"})
    with pytest.raises(ChannelException) as caught:
        check_exchange_arguments(client(), "x", {"alternate-exchange": 5})
    assert caught.value.why == ("invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'")
    with pytest.raises(ChannelException, match="access to exchange 'x'"):
        check_exchange_arguments(client(read="^other"), "x", {"alternate-exchange": "other"})
    with pytest.raises(ChannelException, match="access to exchange 'other'"):
        check_exchange_arguments(client(write="^x"), "x", {"alternate-exchange": "other"})
