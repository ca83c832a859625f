"""The API's description of itself: every route is in it with words, and everything that it refers to is there."""

import json
import re

import pytest

from broker.management.app import make_app
from broker.management.census import Census
from broker.management.openapi import described, says
from broker.management.route import Right
from broker.management.routes import ROUTES
from tests.management.browser import Browser, FakeFacts, no_command
from tests.vhosts.room import open_hall

WHOLE = described(ROUTES, "3.10.8")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_says_what_it_is_for(route):
    assert re.fullmatch(r"[A-Z].*[.]", says(route)), says(route)
    assert "Raises" not in says(route)
    operation = WHOLE["paths"][route.path][route.method.lower()]
    named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)\}", route.path))
    assert ("security" in operation) == (route.right is not Right.NOBODY)


def test_no_line_stands_there_twice():
    places = [(route.method, route.path) for route in ROUTES]
    assert len(places) == len(set(places))


def test_what_it_refers_to_is_there():
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(WHOLE)))
    assert named
    assert named <= set(WHOLE["components"]["schemas"])


async def test_everybody_may_read_it():
    async with open_hall() as hall:
        browser = Browser(make_app(hall, Census(hall, FakeFacts("n1")), no_command))
        browser.authorization = None
        assert await browser.json("openapi.json") == WHOLE
        for path in ("/api", "/api/"):
            moved = await browser.ask(path)
            assert (moved.status, moved.headers["location"]) == (301, "/api/index.html")
        page = await browser.ask("/api/index.html")
        assert page.headers["content-type"].startswith("text/html")
        assert "unsafe" not in page.headers["content-security-policy"]
        text = page.body.decode()
        for route in ROUTES:
            assert f"<code>{route.path}</code>" in text


def test_an_answer_that_is_no_json_is_not_called_so():
    (media,) = WHOLE["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert media == "text/plain"
    assert "application/json" in WHOLE["paths"]["/api/overview"]["get"]["responses"]["200"]["content"]
