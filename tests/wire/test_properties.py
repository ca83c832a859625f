from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.wire.content import body_of, make_content
from broker.wire.fields import Timestamp
from broker.wire.malformed import Malformed
from broker.wire.properties import (
    EXPIRATION_INVALID,
    REPLY_TO,
    Properties,
    headers_of,
    property_bytes,
    traits_of,
    traits_of_properties,
    with_reply_to,
)

text = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
octet = st.none() | st.integers(0, 255)
all_properties = st.builds(
    Properties,
    content_type=text,
    content_encoding=text,
    headers=st.none() | st.dictionaries(st.text("abC", max_size=2) | st.just("BCC"), st.integers(0, 9), max_size=3),
    delivery_mode=octet,
    priority=octet,
    correlation_id=text,
    reply_to=text,
    expiration=text,
    message_id=text,
    timestamp=st.none() | st.integers(0, 2**64 - 1).map(Timestamp),
    type=text,
    user_id=text,
    app_id=text,
    cluster_id=text,
)


@given(all_properties, st.binary(max_size=10))
def test_properties_survive_and_traits_agree_with_them(properties, body):
    content = make_content(1, properties, body, 0)
    assert Properties.of(content) == properties
    traits = traits_of(content)
    assert traits.persistent == (properties.delivery_mode == 2)
    assert traits.priority == (properties.priority or 0)
    assert traits.has_headers == (properties.headers is not None)
    assert traits.sender_selected == bool({"CC", "BCC"} & (properties.headers or {}).keys())
    assert traits.user_id == properties.user_id
    assert headers_of(content) == (properties.headers or {})
    assert traits is traits_of(content)


def test_headers_that_cannot_be_read_are_looked_at_by_whoever_routes():
    content = make_content(1, Properties(headers={"a": 1}), b"", 0)
    broken = content.replace(b"aI", b"a?")
    assert traits_of(broken).sender_selected
    with pytest.raises(Malformed):
        headers_of(broken)


@given(st.binary(max_size=40))
def test_any_bytes_are_properties_or_malformed(data):
    with suppress(Malformed):
        Properties.decode(data)
        traits_of_properties(data)


@pytest.mark.parametrize(
    ("expiration", "expected"),
    [
        (None, None),
        ("0", 0),
        ("60000", 60000),
        ("+5", 5),
        ("4294967295", 2**32 - 1),
        ("9" * 50, 2**62),
        ("-1", EXPIRATION_INVALID),
        ("", EXPIRATION_INVALID),
        ("12 ", EXPIRATION_INVALID),
        ("٣", EXPIRATION_INVALID),
    ],
)
def test_expiration_is_a_number_of_milliseconds(expiration, expected):
    assert traits_of(make_content(1, Properties(expiration=expiration), b"", 0)).expiration_ms == expected


def test_the_memo_of_traits_is_bounded():
    for number in range(3000):
        traits_of_properties(Properties(message_id=str(number)).encode())
    assert traits_of_properties(b"\0\0") is traits_of_properties(bytes(2))


def test_property_bytes_are_those_between_size_and_end():
    assert property_bytes(make_content(1, Properties(priority=1), b"body", 0)) == b"\x08\0\1"


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_a_reply_to_is_put_in_the_place_of_another(body):
    given = Properties(
        content_type="text/plain", headers={"a": 1}, correlation_id="7", reply_to=REPLY_TO, message_id="m", user_id="u"
    )
    content = with_reply_to(make_content(5, given, body, 4096), b"somewhere.else")
    assert Properties.of(content) == replace(given, reply_to="somewhere.else")
    assert body_of(content) == body
    assert content == make_content(5, replace(given, reply_to="somewhere.else"), body, 4096)


def test_traits_say_who_has_to_look_at_a_message():
    def traits(**given):
        return traits_of(make_content(1, Properties(**given), b"x", 4096))

    assert traits(reply_to=REPLY_TO).asks_reply
    assert not traits(reply_to=REPLY_TO + ".x").asks_reply
    assert not traits(reply_to="a queue", priority=3, expiration="5", headers={"a": 1}).is_special
    assert all(traits(**one).is_special for one in ({"reply_to": REPLY_TO}, {"user_id": "u"}, {"expiration": "soon"}))
