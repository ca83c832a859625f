import pytest

from broker.amqp.errors import ChannelException
from broker.cluster.records import Life, Owner, QueueRecord
from broker.vhosts.client import Client, User
from broker.vhosts.handle import Handle
from tests.vhosts.fakes import FakeSwitchboard

OWNER = Owner("n1", 1, "a connection")


def handle(exclusive):
    record = QueueRecord(1, "/", "q", Life("n1", 1), 1, exclusive=exclusive)
    return Handle(record, FakeSwitchboard(), lambda *_: None)


def test_an_exclusive_queue_is_for_its_own_connection():
    client = Client(User("ann"), "/", OWNER, None)
    client.check_exclusive(handle(None))
    client.check_exclusive(handle(OWNER))
    for other in (OWNER._replace(life=2), OWNER._replace(node="n2"), OWNER._replace(connection="another")):
        with pytest.raises(ChannelException, match="cannot obtain exclusive access to locked queue 'q' in vhost '/'"):
            client.check_exclusive(handle(other))


def test_who_may_speak_for_others():
    assert User("ann", ("administrator", "impersonator")).impersonator
    assert not User("ann", ("administrator",)).impersonator


def test_rights_are_asked_for_anew_each_time():
    asked = []
    client = Client(User("ann"), "/", OWNER, lambda *who: asked.append(who))
    client.access("/")
    client.access("other")
    assert asked == [("ann", "/"), ("ann", "other")]
