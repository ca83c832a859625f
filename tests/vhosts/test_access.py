import pytest

from broker.amqp.errors import ChannelException
from broker.vhosts import access as room
from broker.vhosts.access import Access


def test_each_right_has_its_own_pattern_and_finds_it_anywhere():
    access = Access("ann", "/", "^mine", "orders", "")
    assert access.may("configure", "mine.q")
    assert not access.may("configure", "not.mine")
    assert access.may("write", "all orders there are")
    assert not access.may("read", "mine"), "an empty pattern allows nothing"
    assert not access.may("read", "")


def test_the_default_exchange_has_a_name_here():
    access = Access("ann", "v", "", "^amq\\.default$", "")
    assert access.may("write", "")
    with pytest.raises(ChannelException) as caught:
        access.check("configure", "exchange", "")
    assert caught.value.text == "ACCESS_REFUSED - access to exchange 'amq.default' in vhost 'v' refused for user 'ann'"
    access.check("write", "exchange", "")


def test_what_is_no_regular_expression_allows_nothing():
    assert not Access("ann", "/", "(", "", "").may("configure", "(")


def test_random_names_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(room, "DECISIONS_MAX", 10)
    access = Access("ann", "/", ".*", "", "")
    for number in range(100):
        assert access.may("configure", f"q{number}")
    assert len(access._decisions) <= 10
