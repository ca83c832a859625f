import pytest

from broker.amqp.errors import ChannelException


def test_a_text_names_its_code_and_says_why():
    assert ChannelException(404, "no queue 'q' in vhost '/'").text == "NOT_FOUND - no queue 'q' in vhost '/'"


@pytest.mark.parametrize("name", ["n" * 300, "ü" * 200, "\udcf0" * 300])
def test_a_long_text_is_cut_to_what_a_short_string_holds(name):
    raw = ChannelException(404, f"no queue '{name}'").text.encode("utf-8", "surrogateescape")
    assert len(raw) <= 255
    assert raw.endswith(b"...")


def test_a_name_that_is_no_text_comes_back_as_it_was_sent():
    name = b"\xf0q".decode("utf-8", "surrogateescape")
    raw = ChannelException(404, f"no queue '{name}'").text.encode("utf-8", "surrogateescape")
    assert b"\xf0q" in raw
