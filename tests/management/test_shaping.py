"""Pages, order and columns, as RabbitMQ 3.10 answers: the texts and the objects are its own."""

import pytest

from broker.management import name_patterns
from broker.management.refusals import Refusal
from broker.management.shaping import Pages, Shape, cut, pick, place, place_of, shape_of
from tests.management.test_app import open_browser

QUEUES = ["aliveness-test", "q", "q2"]


def asked(text, *, pages=True):
    return shape_of(dict(one.split("=", 1) for one in text.split("&") if one), pages=pages)


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("page=0", "invalid_pagination_parameters", "page number 0, page size undefined"),
        ("page=-1", "invalid_pagination_parameters", "page number -1, page size undefined"),
        ("page=1&page_size=0", "invalid_pagination_parameters", "page number 1, page size 0"),
        ("page=1&page_size=501", "invalid_pagination_parameters", "page number 1, page size 501"),
        *((text, "bad_request", "") for text in ("page=", "page=x", "page=1.0", "page= 1", "page=1&page_size=")),
        *((text, "bad_request", "") for text in ("page_size=x", "page=0&page_size=x", "page=1&page_size=x")),
    ],
)
def test_what_is_no_page(text, error, reason):
    with pytest.raises(Refusal) as refused:
        asked(text)
    expected = f"Invalid pagination parameters: {reason}" if reason else "Pagination parameters are invalid"
    assert (refused.value.status, refused.value.error, refused.value.reason) == (400, error, expected)


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("", None),
        ("page_size=900", None),
        ("name=q", None),
        ("page=01", Pages(1)),
        ("page=+1&page_size=500", Pages(1, 500)),
        ("page=2&name=q.&use_regex=true", Pages(2, 100, "q.", True)),
        ("page=2&name=q.&use_regex=True", Pages(2, 100, "q.", False)),
    ],
)
def test_which_page(text, pages):
    assert asked(text).pages == pages


def test_lists_without_pages_pass_over_them():
    assert asked("page=x&sort=a.b&sort_reverse=true", pages=False) == Shape(None, ("a", "b"), True)


def test_a_page_is_cut_out():
    assert cut("abcde", 9, Pages(2, 2)).as_json() == {
        "filtered_count": 5,
        "item_count": 2,
        "items": ["c", "d"],
        "page": 2,
        "page_count": 3,
        "page_size": 2,
        "total_count": 9,
    }
    assert cut("abcde", 9, Pages(3, 2)).rows == ["e"]
    assert cut([], 3, Pages(1)).as_json()["page_count"] == 0
    for rows, length in ("abcd", 4), ("", 0):
        with pytest.raises(Refusal, match=f"Page out of range, page: 3 page size: 2, len: {length}"):
            cut(rows, 9, Pages(3, 2))


@pytest.mark.parametrize(
    ("columns", "picked"),
    [
        ("name", {"name": "q"}),
        ("name.foo", {"name": "q"}),
        ("name,", {"name": "q"}),
        ("a.b,name,a.c", {"a": {"b": 1, "c": {"d": 2}}, "name": "q"}),
        ("a,a.b", {"a": {"b": 1, "c": {"d": 2}, "e": 3}}),
        ("a.b,a", {"a": {"b": 1, "c": {"d": 2}, "e": 3}}),
        ("a.c.d", {"a": {"c": {"d": 2}}}),
        ("list.name", {"list": [{"name": 1}, {}]}),
        ("arguments.x", {"arguments": {}}),
        ("", {}),
        (",", {}),
        ("nope", {}),
    ],
)
def test_columns(columns, picked):
    row = {"name": "q", "a": {"b": 1, "c": {"d": 2}, "e": 3}, "list": [{"name": 1, "x": 2}, {"x": 3}], "arguments": {}}
    assert pick(row, asked(f"columns={columns}").columns) == picked


def test_values_of_different_kinds_have_an_order():
    values = ["a", "B", "", {"a": 1}, [2], True, None, False, 2.5, 0, -1]
    assert sorted(values, key=place) == [-1, 0, 2.5, False, None, True, [2], {"a": 1}, "", "B", "a"]


def test_what_is_missing_counts_as_nothing():
    rows = [{"a": {"b": 2}}, {"a": {}}, {"a": 7}, {"a": {"b": -1}}]
    assert [place_of(row, ["a", "b"])[1] for row in rows] == [2, 0, 0, -1]


# ------------------------------------------------------------------ by HTTP


async def fill(browser, *queues):
    for name in queues:
        assert (await browser.ask(f"queues/%2F/{name}", "PUT", {"durable": True})).status == 201


def names(answer):
    return [row["name"] for row in answer]


async def test_lists_come_in_pages_in_order_and_with_few_fields():
    async with open_browser() as (_, browser):
        await fill(browser, *reversed(QUEUES))
        page = await browser.json("queues?page=2&page_size=2&columns=name")
        assert page == {
            "filtered_count": 3,
            "item_count": 1,
            "items": [{"name": "q2"}],
            "page": 2,
            "page_count": 2,
            "page_size": 2,
            "total_count": 3,
        }
        assert await browser.json("queues?sort=name&sort_reverse=true&columns=name") == [
            {"name": name} for name in reversed(QUEUES)
        ]
        assert names(await browser.json("queues?sort_reverse=true")) == QUEUES[::-1]
        assert names(await browser.json("queues?name=q2")) == QUEUES  # without a page there is no filter
        assert (await browser.json("queues?page=1&page=2"))["page"] == 1
        assert await browser.json("queues/%2F/q?columns=name") == {"name": "q"}
        assert await browser.json("overview?columns=exchange_types.name,cluster_name") == {
            "exchange_types": [{"name": one["name"]} for one in (await browser.json("overview"))["exchange_types"]],
            "cluster_name": "test",
        }
        assert isinstance(await browser.json("users?page=1"), list)
        exchanges = await browser.json("exchanges/%2F?page=1&page_size=2&name=amq.d&columns=name")
        assert (exchanges["items"], exchanges["total_count"]) == ([{"name": "amq.direct"}], 7)
        answer = await browser.ask("connections?page=2")
        assert (answer.status, answer.json) == (
            400,
            {"error": "page_out_of_range", "reason": "Page out of range, page: 2 page size: 100, len: 0"},
        )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=2", ["q2"]),
        ("name=Q2", ["q2"]),
        ("name=Q2&use_regex=true", ["q2"]),
        ("name=^q&use_regex=true", ["q", "q2"]),
        ("name=^(?!q)&use_regex=true", ["aliveness-test"]),
        ("name=q.&use_regex=1", []),
        ("name=(", []),
        ("name=", QUEUES),
        ("use_regex=true", QUEUES),
    ],
)
async def test_names_are_looked_for(query, found):
    async with open_browser() as (_, browser):
        await fill(browser, *reversed(QUEUES))
        assert names((await browser.json(f"queues?page=1&{query}"))["items"]) == found


async def test_foolish_expressions_end():
    async with open_browser() as (_, browser):
        for pattern, reason in ("(", "Pagination parameters are invalid"), ("x" * 1025, "Pagination parameters"):
            answer = await browser.ask(f"exchanges?page=1&use_regex=true&name={pattern}")
            assert (answer.status, answer.json["error"]) == (400, "bad_request")
            assert answer.json["reason"].startswith(reason)
        name = "a" * 200
        await fill(browser, name)
        answer = await browser.ask("queues?page=1&use_regex=true&name=(a%2B)%2Bb")
        assert (answer.status, answer.json["reason"]) == (400, name_patterns.TOO_SLOW)
        assert names((await browser.json("queues?page=1&use_regex=true&name=a%2B$"))["items"]) == [name]


async def test_many_slow_names_end_together(monkeypatch):
    monkeypatch.setattr(name_patterns, "ALL_S", 0)
    with pytest.raises(Refusal, match="takes too long"):
        await name_patterns.found("a", ["b"])


async def test_a_page_shows_one_vhost_if_told_so():
    async with open_browser() as (hall, browser):
        await hall.tree.propose({"do": "put_vhost", "name": "other"})
        for chosen, seen in ("other", {"other"}), ("", {"/", "other"}), ("nope", set()):
            answer = await browser.ask("exchanges", x_vhost=chosen)
            assert {row["vhost"] for row in answer.json} == seen
        assert (await browser.ask("overview", x_vhost="other")).json["object_totals"]["exchanges"] == 2 * 7
