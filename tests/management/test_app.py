"""Who gets in, which paths there are, and how refusals look: one node, no socket."""

from contextlib import asynccontextmanager

import pytest

from broker.management.app import make_app
from broker.management.census import Census
from broker.management.routes import ROUTES
from tests.management.browser import Browser, FakeFacts, basic, no_command
from tests.vhosts.room import open_hall


@asynccontextmanager
async def open_browser(peer="127.0.0.1"):
    async with open_hall() as hall:
        yield hall, Browser(make_app(hall, Census(hall, FakeFacts("n1")), no_command), peer)


async def add_user(hall, name, *tags, vhosts=()):
    await hall.tree.propose({"do": "put_user", "name": name, "password": "p", "tags": list(tags)})
    for vhost in vhosts:
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        await hall.tree.propose({"do": "put_permission", "user": name, "vhost": vhost, **rights})


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !", "Basic " + "Zm9v", "Bearer Z3Vlc3Q6Z3Vlc3Q=", basic("guest", "x"), basic("x", "x")],
)
async def test_strangers_are_asked_who_they_are(authorization, autojump_clock):
    async with open_browser() as (_, browser):
        browser.authorization = authorization
        answer = await browser.ask("overview")
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="RabbitMQ Management"'
        assert answer.json == {"error": "not_authorized", "reason": "Not_Authorized"}


async def test_a_user_needs_a_tag():
    async with open_browser() as (hall, browser):
        await add_user(hall, "plain", "impersonator", vhosts=["/"])
        browser.authorization = basic("plain", "p")
        answer = await browser.ask("whoami")
        assert (answer.status, answer.json) == (401, {"error": "not_authorised", "reason": "Not management user"})
        assert "www-authenticate" not in answer.headers


async def test_guest_comes_from_this_machine_only():
    async with open_browser(peer="10.0.0.7") as (_, browser):
        answer = await browser.ask("whoami")
        assert (answer.status, answer.json["reason"]) == (401, "User can only log in via localhost")


async def test_users_see_the_vhosts_that_they_may_enter():
    async with open_browser() as (hall, browser):
        await hall.tree.propose({"do": "put_vhost", "name": "other"})
        await add_user(hall, "manager", "management", vhosts=["other"])
        await add_user(hall, "monitor", "monitoring", vhosts=["other"])
        for name, seen in ("manager", ["other"]), ("monitor", ["/", "other"]):
            browser.authorization = basic(name, "p")
            assert [vhost["name"] for vhost in await browser.json("vhosts")] == seen
            assert {exchange["vhost"] for exchange in await browser.json("exchanges")} == {"other"}
            refused = await browser.ask("queues/%2F")
            assert (refused.status, refused.json["reason"]) == (401, "User not authorised to access virtual host")
        browser.authorization = basic("manager", "p")
        assert (await browser.ask("nodes")).json == {"error": "not_authorised", "reason": "Not monitor user"}
        assert "listeners" not in await browser.json("overview")


@pytest.mark.parametrize(
    "path",
    ["nothing", "queues/", "queues/%2F/", "queues/nowhere", "queues/%2F/none", "queues/%2F/a/b", "nodes/n9", "/x"],
)
async def test_what_is_not_there_is_not_found(path):
    async with open_browser() as (_, browser):
        answer = await browser.ask(path)
        assert (answer.status, answer.json) == (404, {"error": "Object Not Found", "reason": "Not Found"})


async def test_methods():
    async with open_browser() as (_, browser):
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            refused = await browser.ask("overview", method)
            assert (refused.status, refused.headers["allow"]) == (405, "HEAD, GET, OPTIONS")
        assert (await browser.ask("overview", "HEAD")).status == 200
        browser.authorization = None
        assert (await browser.ask("overview", "OPTIONS")).headers["allow"] == "HEAD, GET, OPTIONS"


async def test_every_listed_path_answers():
    async with open_browser() as (_, browser):
        for path in {route.path for route in ROUTES if route.method == "GET"}:
            if "{" not in path:
                assert (await browser.ask(path)).headers["cache-control"] == "no-cache"


async def test_the_page_needs_nothing_from_elsewhere_and_may_do_nothing_else():
    async with open_browser() as (_, browser):
        browser.authorization = None
        answer = await browser.ask("/")
        text = answer.body.decode()
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert policy.count("'sha256-") == 2
        assert "unsafe" not in policy
        assert "//" not in text.replace("<!doctype", "")
        assert "style=" not in text
        assert "innerHTML" not in text
