"""What an operator sets with `warren ctl` holds for a real client at every node from the moment the command returns."""

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker, ProbableAccessDeniedError

from tests.clients.conftest import cluster, warren

pytestmark = pytest.mark.slow

NO_WRITE = "ACCESS_REFUSED - access to exchange 'amq.topic' in vhost 'shop' refused for user 'ann'"
NO_KEY = "ACCESS_REFUSED - access to topic 'secret.k' in exchange 'amq.topic' in vhost 'shop' refused for user 'ann'"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    with cluster(folder) as urls:
        warren(folder, "ctl", "add_user", "ann", "secret")
        warren(folder, "ctl", "add_vhost", "shop")
        yield (
            lambda *words: warren(folder, "ctl", *words),
            [f"{url.replace('guest:guest', 'ann:secret')}shop" for url in urls],
        )


@pytest.fixture
def ctl(place):
    """Every right, and no limit, to begin with."""
    command, _ = place
    command("-p", "shop", "set_permissions", "ann", ".*", ".*", ".*")
    command("-p", "shop", "clear_topic_permissions", "ann")
    command("-p", "shop", "set_vhost_limits", "{}")
    command("set_user_limits", "ann", "{}")
    return command


@pytest.fixture
def url(place):
    """One node after the other: the command went to any."""
    urls = place[1]
    urls.append(urls.pop(0))
    return urls[0]


def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))


def said(raised):
    return raised.value.reply_code, raised.value.reply_text


def publish(url, key):
    with connect(url) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("amq.topic", key, b"x")


def test_permissions(ctl, url):
    publish(url, "k")
    ctl("-p", "shop", "set_permissions", "ann", ".*", "^mine", ".*")
    with pytest.raises(ChannelClosedByBroker) as refused:
        publish(url, "k")
    assert said(refused) == (403, NO_WRITE)


def test_topic_permissions(ctl, url):
    ctl("-p", "shop", "set_topic_permissions", "ann", "amq.topic", "^open", ".*")
    publish(url, "open.k")
    with pytest.raises(ChannelClosedByBroker) as refused:
        publish(url, "secret.k")
    assert said(refused) == (403, NO_KEY)


def test_limits_of_a_virtual_host(ctl, url):
    with connect(url) as connection:
        ctl("-p", "shop", "set_vhost_limits", '{"max-connections": 1, "max-queues": 0}')
        with pytest.raises(ProbableAccessDeniedError, match="connection limit \\(1\\) is reached"):
            connect(url)
        with pytest.raises(ChannelClosedByBroker) as refused:
            connection.channel().queue_declare("one")
        assert refused.value.reply_code == 406
        assert "queue limit in vhost 'shop' (0) is reached" in refused.value.reply_text


def test_limits_of_a_user(ctl, url):
    ctl("set_user_limits", "ann", '{"max-channels": 1}')
    connection = connect(url)
    connection.channel()
    with pytest.raises(ConnectionClosedByBroker) as refused:
        connection.channel()
    assert refused.value.reply_code == 530
    assert "has reached the maximum allowed user limit of (1)" in refused.value.reply_text


def test_passwords_and_tags_and_the_end_of_a_user(ctl, url):
    ctl("add_user", "tom", "one")
    ctl("-p", "shop", "set_permissions", "tom", ".*", ".*", ".*")
    toms = url.replace("ann:secret", "tom:one")
    connection = connect(toms)
    ctl("change_password", "tom", "two")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(toms)
    ctl("set_user_tags", "tom", "impersonator")
    with connect(toms.replace("tom:one", "tom:two")) as second:
        channel = second.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "nowhere", b"x", pika.BasicProperties(user_id="ann"))
    ctl("delete_user", "tom")
    with pytest.raises(ConnectionClosedByBroker) as closed:
        connection.process_data_events(5)
    assert said(closed) == (320, "CONNECTION_FORCED - user 'tom' is deleted")
