import pytest

from broker.amqp.errors import ChannelException
from broker.cluster.records import Owner
from broker.vhosts.access import Access
from broker.vhosts.arguments import check_exchange_arguments, check_queue_arguments
from broker.vhosts.client import Client, User
from broker.wire.fields import Long, Timestamp


def client(write=".*", read=".*"):
    return Client(User("ann"), "/", Owner("n1", 1, "c"), lambda user, vhost: Access(user, vhost, ".*", write, read))


@pytest.mark.parametrize(
    ("argument", "value", "why"),
    [
        ("x-expires", 0, "{value_zero,0}"),
        ("x-expires", "soon", "{unacceptable_type,longstr}"),
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-message-ttl", True, "{unacceptable_type,bool}"),
        ("x-message-ttl", 1.5, "{unacceptable_type,double}"),
        ("x-message-ttl", [], "{unacceptable_type,table}"),
        ("x-max-priority", 256, "{max_value_exceeded,256}"),
        ("x-max-priority", -1, "{value_negative,-1}"),
        ("x-max-length", -5, "{value_negative,-5}"),
        ("x-dead-letter-exchange", 1, "{unacceptable_type,long}"),
        ("x-dead-letter-routing-key", "key", "routing_key_but_no_dlx_defined"),
        ("x-overflow", "explode", "invalid_overflow"),
        ("x-queue-mode", "busy", "invalid_queue_mode"),
        ("x-queue-master-locator", "nearest", "invalid_queue_locator_arg"),
        ("x-single-active-consumer", "yes", "{unacceptable_type,longstr}"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_in_rabbitmqs_words(argument, value, why):
    with pytest.raises(ChannelException) as caught:
        check_queue_arguments(client(), "q", {argument: value})
    assert (caught.value.code, caught.value.why) == (406, f"invalid arg '{argument}' for queue 'q' in vhost '/': {why}")


def test_a_timestamp_is_named_as_one():
    with pytest.raises(ChannelException, match="unacceptable_type,timestamp"):
        check_queue_arguments(client(), "q", {"x-dead-letter-exchange": Timestamp(5)})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-mine": object()},
        {"x-message-ttl": 0, "x-expires": Long(1), "x-max-length": 0, "x-max-priority": 255},
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
