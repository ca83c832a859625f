"""The story that a dead letter carries: x-death, first deaths, keys, expiration, cycles."""

from typing import Any

import pytest

from broker.queues.dead_letter import DeadLetter, Letter, Reason, letters_of, without_cycles
from broker.wire.content import body_of, make_content
from broker.wire.fields import Long, Timestamp
from broker.wire.message import Run, Traits, make_address, split_address
from broker.wire.properties import Properties, traits_of

NOW = 1_700_000_000


def dead(
    *several: Properties,
    reason: Reason = "rejected",
    key: str | None = None,
    source: str = "x",
    origin_key: str = "k",
    first: int = 5,
) -> DeadLetter:
    contents = [make_content(3, properties, b"body %d" % i, 4096) for i, properties in enumerate(several)]
    run = Run(contents, make_address(source, origin_key), traits_of(contents[0]), first=first)
    return DeadLetter(reason, run, "dlx", key)


def only(letters: list[Letter]) -> Properties:
    (letter,) = letters
    properties = Properties.of(letter.run.contents[0])
    assert properties.headers == letter.headers
    return properties


def death(**changes: Any) -> dict[str, Any]:
    entry = {
        "count": 1,
        "reason": "rejected",
        "queue": "q",
        "time": NOW,
        "exchange": "x",
        "routing-keys": ["k"],
    }
    return entry | changes


def test_first_death() -> None:
    before = Properties(delivery_mode=2, message_id="m", headers={"mine": [1, None]})
    (letter,) = letters_of(dead(before), "q", NOW)
    after = Properties.of(letter.run.contents[0])
    assert after.headers == {
        "mine": [1, None],
        "x-first-death-reason": "rejected",
        "x-first-death-queue": "q",
        "x-first-death-exchange": "x",
        "x-death": [death()],
    }
    assert (after.delivery_mode, after.message_id) == (2, "m")
    assert body_of(letter.run.contents[0]) == b"body 0"
    assert letter.run.contents[0][1:3] == b"\0\3"
    assert letter.run.traits == Traits(persistent=True, has_headers=True)
    assert split_address(letter.run.address) == ("dlx", "k")
    assert (letter.run.first, letter.run.last) == (5, 5)


def test_its_own_expiration_becomes_history() -> None:
    after = only(letters_of(dead(Properties(expiration="50"), reason="expired"), "q", NOW))
    assert after.expiration is None
    assert after.headers is not None
    assert after.headers["x-death"] == [death(**{"reason": "expired", "original-expiration": "50"})]


def test_a_key_for_the_dead_replaces_key_and_cc() -> None:
    letters = letters_of(dead(Properties(headers={"CC": ["a", "b"]}), key="grave"), "q", NOW)
    after = only(letters)
    assert split_address(letters[0].run.address) == ("dlx", "grave")
    assert after.headers is not None
    assert "CC" not in after.headers
    assert after.headers["x-death"][0]["routing-keys"] == ["k", "a", "b"]


def test_a_key_that_no_method_could_carry_is_cut() -> None:
    (letter,) = letters_of(dead(Properties(), key="k" * 256), "q", NOW)
    assert split_address(letter.run.address) == ("dlx", "k" * 255)


def test_a_key_that_is_no_text_survives() -> None:
    (letter,) = letters_of(dead(Properties(), source="x", key=None, origin_key="\udcff"), "q", NOW)
    assert letter.run.address == b"\3dlx\1\xff"
    (death,) = Properties.of(letter.run.contents[0]).headers["x-death"]
    assert death["routing-keys"] == ["\udcff"]


def test_without_such_a_key_cc_stays() -> None:
    after = only(letters_of(dead(Properties(headers={"CC": ["a"]})), "q", NOW))
    assert after.headers is not None
    assert after.headers["CC"] == ["a"]
    assert after.headers["x-death"][0]["routing-keys"] == ["k", "a"]


def test_a_repeat_counts_and_comes_to_the_front() -> None:
    old = [death(queue="other", reason="expired"), death(count=4, time=1, exchange="first")]
    headers = {"x-death": old, "x-first-death-queue": "someone"}
    after = only(letters_of(dead(Properties(headers=headers)), "q", NOW))
    assert after.headers is not None
    assert after.headers["x-death"] == [death(count=5, time=1, exchange="first"), old[0]]
    assert after.headers["x-first-death-queue"] == "someone"
    assert "x-first-death-reason" not in after.headers


def test_same_queue_for_another_reason_is_another_entry() -> None:
    headers = {"x-death": [death(reason="maxlen")]}
    after = only(letters_of(dead(Properties(headers=headers)), "q", NOW))
    assert after.headers is not None
    assert [(entry["reason"], entry["count"]) for entry in after.headers["x-death"]] == [("rejected", 1), ("maxlen", 1)]


@pytest.mark.parametrize("nonsense", ["text", 5, {"count": 1}, None])
def test_a_story_that_a_client_spoiled_begins_anew(nonsense: object) -> None:
    after = only(letters_of(dead(Properties(headers={"x-death": nonsense})), "q", NOW))
    assert after.headers is not None
    assert after.headers["x-death"] == [death()]


def test_entries_that_nobody_counted_are_counted_and_the_others_turn_round() -> None:
    old = {"reason": "expired", "queue": "a"}
    headers = {
        "x-death": [old | {"k": 1}, old | {"k": 2}, death(count=4), old | {"queue": "b", "count": 3}, death(count=9)]
    }
    after = only(letters_of(dead(Properties(headers=headers)), "q", NOW))
    assert after.headers is not None
    assert after.headers["x-death"] == [
        death(count=5),
        old | {"queue": "b", "count": 3},
        old | {"k": 1, "count": 2},
    ]


def test_odd_entries_are_kept() -> None:
    headers = {"x-death": ["odd", death(count="many")]}
    after = only(letters_of(dead(Properties(headers=headers)), "q", NOW))
    assert after.headers is not None
    assert after.headers["x-death"] == [death(count=2), "odd"]


def test_equal_properties_travel_together_and_keep_their_positions() -> None:
    plain, other = Properties(), Properties(message_id="m")
    letters = letters_of(dead(plain, plain, other, plain), "q", NOW)
    assert [(letter.run.first, letter.run.last) for letter in letters] == [(5, 6), (7, 7), (8, 8)]
    assert [body_of(content) for letter in letters for content in letter.run.contents] == [
        b"body 0",
        b"body 1",
        b"body 2",
        b"body 3",
    ]


def test_what_never_stood_in_the_queue_has_no_positions() -> None:
    letters = letters_of(dead(Properties(), Properties(app_id="a"), reason="maxlen", first=0), "q", NOW)
    assert [letter.run.first for letter in letters] == [0, 0]


def test_unreadable_properties_do_not_keep_a_body_from_its_grave() -> None:
    content = make_content(1, Properties(headers={"a": 1}), b"body", 4096)
    broken = content.replace(b"\x01aI", b"\x01a?")
    run = Run([broken], make_address("x", "k"), Traits(has_headers=True), first=1)
    (letter,) = letters_of(DeadLetter("expired", run, "dlx", None), "q", NOW)
    assert body_of(letter.run.contents[0]) == b"body"
    assert letter.headers["x-death"] == [death(reason="expired")]


@pytest.mark.parametrize(
    ("deaths", "reason", "allowed"),
    [
        ([("q", "expired")], "expired", ["other"]),
        ([("q", "expired")], "rejected", ["q", "other"]),  # somebody decides each time
        ([("between", "expired"), ("q", "maxlen")], "expired", ["other"]),
        ([("between", "rejected"), ("q", "maxlen")], "expired", ["q", "other"]),
        ([("between", "expired"), ("q", "rejected")], "expired", ["q", "other"]),
        ([("q", "expired"), ("q", "rejected")], "expired", ["other"]),  # not since the rejection
        ([("between", "expired")], "expired", ["q", "other"]),
        ([], "maxlen", ["q", "other"]),
    ],
)
def test_cycles(deaths: list[tuple[str, str]], reason: Reason, allowed: list[str]) -> None:
    headers = {"x-death": [{"queue": queue, "reason": why} for queue, why in deaths]}
    assert without_cycles(["q", "other"], headers, reason) == allowed


def test_no_cycle_where_nothing_can_be_read() -> None:
    assert without_cycles(["q"], {}, "expired") == ["q"]
    assert without_cycles(["q"], {"x-death": "text"}, "expired") == ["q"]
    assert without_cycles(["q"], {"x-death": ["odd", {"queue": "q"}]}, "expired") == ["q"]


@pytest.mark.parametrize("count", [Long(2**63 - 1), Timestamp(2**64 - 1)])
def test_a_count_that_a_publisher_wrote_as_high_as_it_goes_stays_there(count: int) -> None:
    after = only(letters_of(dead(Properties(headers={"x-death": [death(count=count)]})), "q", NOW))
    assert after.headers is not None
    assert after.headers["x-death"] == [death(count=2**63 - 1)]
