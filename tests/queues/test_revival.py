"""Where dead letters go back to, and what is left of their story."""

import pytest

from broker.queues.dead_letter import DeadLetter, letters_of
from broker.queues.revival import REPLAYS, STORY, STORY_MAX, Home, has_died, home_of, replays_of, revive
from broker.wire.fields import Long
from broker.wire.message import Run, make_address, split_address
from broker.wire.properties import Properties, traits_of_properties
from tests.queues.fakes import make_content


def died(properties, *deaths, exchange="orders", key="new", target=None):
    """The properties after these deaths: (queue, reason), each on the way into `dead`, with its own key unless there is
    a `target`."""
    content = make_content(1, properties, b"x", 0)
    address = make_address(exchange, key)
    for queue, reason in deaths:
        run = Run([content], address, traits_of_properties(properties.encode()), first=1)
        (letter,) = letters_of(DeadLetter(reason, run, "dead", target), queue, 5)
        (content,), address = letter.run.contents, letter.run.address
    return Properties.of(content), split_address(address)


def test_a_letter_goes_back_to_where_its_publisher_had_sent_it():
    properties, _ = died(Properties(headers={"a": 1}), ("work", "rejected"))
    assert home_of(properties.headers) == Home("orders", ("new",), "work")


@pytest.mark.parametrize(
    "deaths",
    [
        [("work", "rejected"), ("retry", "expired")],
        [("work", "rejected"), ("retry", "expired"), ("work", "rejected"), ("retry", "expired"), ("work", "rejected")],
        [("work", "expired"), ("dead", "maxlen"), ("dead.dead", "rejected")],
    ],
)
def test_whatever_way_it_went_since_it_is_the_first_death_that_counts(deaths):
    properties, _ = died(Properties(), *deaths)
    assert home_of(properties.headers) == Home("orders", ("new",), "work")


def test_keys_of_cc_that_the_dead_letter_road_took_away_come_back():
    properties, _ = died(Properties(headers={"CC": ["b", "c"]}), ("work", "rejected"), target="k")
    assert "CC" not in properties.headers
    home = home_of(properties.headers)
    assert home.keys == ("new", "b", "c")
    assert revive(properties, home.keys).headers["CC"] == ["b", "c"]


def test_consumers_see_a_message_without_a_past_and_people_see_its_story():
    properties, _ = died(Properties(expiration="50", headers={"a": 1}), ("work", "expired"), ("work", "rejected"))
    deaths = properties.headers["x-death"]
    revived = revive(properties, ("new",))
    assert revived.headers == {"a": 1, STORY: deaths, REPLAYS: 1}
    assert isinstance(revived.headers[REPLAYS], Long)
    assert (revived.expiration, deaths[-1]["original-expiration"]) == (None, "50")
    again, _ = died(revived, ("work", "maxlen"))
    assert again.headers["x-first-death-reason"] == "maxlen"
    twice = revive(again, ("new",))
    assert (replays_of(twice.headers), [one["reason"] for one in twice.headers[STORY]]) == (
        2, ["maxlen", "rejected", "expired"])  # fmt: skip


def test_a_story_does_not_grow_for_ever():
    headers = {"x-death": [{"queue": str(number)} for number in range(20)], STORY: [{"queue": "old"}] * 20}
    assert len(revive(Properties(headers=headers), ("k",)).headers[STORY]) == STORY_MAX


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-death": 5},
        {"x-death": [5]},
        {"x-death": [{"queue": "q"}]},
        {"x-death": [{"queue": "q", "exchange": 5, "routing-keys": ["k"]}]},
        {"x-death": [{"queue": "q", "exchange": "", "routing-keys": [5]}]},
        {"x-death": [{"queue": "q", "exchange": "", "routing-keys": "k"}]},
    ],
)
def test_a_story_that_clients_made_up_leads_nowhere(headers):
    assert home_of(headers) is None
    assert revive(Properties(headers=dict(headers)), ("k",)).headers[REPLAYS] == 1


def test_deaths_that_another_broker_told_without_a_first_one():
    deaths = [{"queue": name, "exchange": name, "routing-keys": ["k"], "reason": "expired"} for name in ("new", "old")]
    assert home_of({"x-death": deaths}) == Home("old", ("k",), "old")


def test_which_deaths_are_asked_for():
    properties, _ = died(Properties(), ("work", "rejected"), ("retry", "expired"))
    asked = [("rejected", None), (None, "retry"), ("rejected", "work"), ("rejected", "retry"), ("maxlen", None)]
    assert [has_died(properties.headers, *one) for one in asked] == [True, True, True, False, False]
    assert [replays_of({REPLAYS: value}) for value in (3, "3", -1, None)] == [3, 0, 0, 0]


def test_a_count_that_a_publisher_wrote_as_high_as_it_goes_stays_there():
    letter = revive(Properties(headers={REPLAYS: Long(2**63 - 1)}), ("new",))
    assert Properties.decode(letter.encode()).headers == {REPLAYS: 2**63 - 1}
