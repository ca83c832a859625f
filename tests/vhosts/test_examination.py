import pytest

from broker.amqp.errors import ChannelException
from broker.vhosts.client import User
from broker.vhosts.examination import examined
from broker.wire.content import body_of, make_content
from broker.wire.properties import REPLY_TO, Properties, traits_of


class Addresses:
    """Replies, as far as this module asks."""

    def __init__(self, address=None):
        self.address = address

    def address_of(self, channel):
        if self.address is None:
            raise ChannelException(406, "fast reply consumer does not exist")
        return self.address


def look(*, user=User("ann"), address=None, **properties):  # noqa: B008 - it is immutable
    contents = [make_content(1, Properties(**properties), body, 4096) for body in (b"one", b"two")]
    return examined(user, None, Addresses(address), traits_of(contents[0]), contents)


def test_messages_that_ask_for_replies_get_the_channels_address():
    traits, contents = look(reply_to=REPLY_TO, correlation_id="7", address="over.here")
    assert [Properties.of(content).reply_to for content in contents] == ["over.here"] * 2
    assert [body_of(content) for content in contents] == [b"one", b"two"]
    assert traits == traits_of(contents[0])


def test_others_go_on_as_they_are():
    traits, contents = look(user_id="ann", expiration="+5")
    assert Properties.of(contents[0]) == Properties(user_id="ann", expiration="+5")
    assert traits.expiration_ms == 5


def test_only_impersonators_may_name_another_user():
    assert look(user=User("ann", ("impersonator",)), user_id="bob")[0].user_id == "bob"


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"user_id": "bob"}, "user_id property set to 'bob' but authenticated user was 'ann'"),
        ({"expiration": "abc"}, "invalid expiration 'abc': no_integer"),
        ({"expiration": "10x"}, "invalid expiration '10x': {leftover_string,\"x\"}"),
        ({"expiration": "-5"}, "invalid expiration '-5': {value_negative,-5}"),
        ({"delivery_mode": 0}, "invalid message: {delivery_mode_unknown,0}"),
        ({"delivery_mode": 3}, "invalid message: {delivery_mode_unknown,3}"),
        ({"delivery_mode": 3, "expiration": "abc"}, "invalid expiration 'abc': no_integer"),
        ({"reply_to": REPLY_TO, "user_id": "bob"}, "fast reply consumer does not exist"),
        ({"user_id": "bob", "expiration": "x"}, "user_id property set to 'bob' but authenticated user was 'ann'"),
    ],
)
def test_what_is_refused_and_what_comes_first(properties, why):
    with pytest.raises(ChannelException) as caught:
        look(**properties)
    assert (caught.value.code, caught.value.why) == (406, why)
