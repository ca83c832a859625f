"""What has no counterpart in RabbitMQ's API: queues paused, messages looked at, dead letters sent back."""

import pytest

from tests.management.browser import basic
from tests.management.test_changes import GET_ONE, QUEUE, add_user, get, open_browser, publish


async def test_a_paused_queue_gives_nothing_until_it_is_resumed():
    async with open_browser() as (_, browser):
        assert (await browser.ask(f"{QUEUE}/pause", "PUT")).status == 404
        await browser.ask(QUEUE, "PUT", b"{}")
        assert await publish(browser)
        assert (await browser.ask(f"{QUEUE}/pause", "PUT")).status == 204
        assert (await browser.json(QUEUE))["state"] == "paused"
        assert (await publish(browser), await get(browser)) == (True, [])
        assert (await browser.ask(f"{QUEUE}/resume", "PUT")).status == 204
        assert (await browser.json(QUEUE))["state"] == "running"
        assert [message["payload"] for message in await get(browser, count=5)] == ["x", "x"]


async def test_messages_are_looked_at_as_get_shows_them_and_stay():
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        for payload in ("one", "two", "three"):
            await publish(browser, payload=payload, headers={"tenant": 5}, delivery_mode=2)
        await publish(browser, payload="/wA=", encoding="base64")
        seen = await browser.json(f"{QUEUE}/browse?limit=2&offset=1&truncate=4")
        assert (seen["next"], seen["messages_ready"], seen["messages_unacknowledged"]) == (3, 4, 0)
        three = seen["messages"][1]
        assert (three["payload"], three["payload_bytes"], three["truncated"]) == ("thre", 5, True)
        assert (three["position"], three["state"], three["holder"], three["routing_key"]) == (3, "ready", None, "q")
        assert three["properties"] == {"delivery_mode": 2, "headers": {"tenant": 5}}
        rest = await browser.json(f"{QUEUE}/browse?after=3")
        assert [(one["payload"], one["payload_encoding"]) for one in rest["messages"]] == [("/wA=", "base64")]
        found = await browser.json(f"{QUEUE}/browse?search=two&state=ready")
        assert ([one["payload"] for one in found["messages"]], found["scanned"]) == (["two"], 4)
        assert (await get(browser))[0]["redelivered"] is False


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "after=9999999999999999999", "state=dead", "offset=%C2%B2"])
async def test_a_look_that_makes_no_sense(query):
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        assert (await browser.ask(f"{QUEUE}/browse?{query}")).status == 400
        assert (await browser.ask("queues/%2F/none/browse")).status == 404


async def test_permissions_count():
    async with open_browser() as (hall, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        await add_user(hall, "manager", "management", vhost="/")
        browser.authorization = basic("manager", "p")
        for method, path in [("GET", "browse"), ("PUT", "pause"), ("PUT", "resume"), ("POST", "replay")]:
            refused = await browser.ask(f"{QUEUE}/{path}", method, b"{}")
            assert (refused.status, refused.json["reason"]) == (401, "Access refused."), path
        assert (await browser.ask(f"{QUEUE}/get", "POST", GET_ONE)).status == 401


async def test_what_is_in_an_exclusive_queue_is_its_connections_alone():
    async with open_browser() as (hall, browser):
        await hall.tree.propose({
            "do": "declare_queue", "vhost": "/", "name": "q", "exclusive": True, "connection": "somebody",
            "node": hall.life.node, "life": hall.life.number,
        })  # fmt: skip
        for method, path in [("GET", "browse"), ("PUT", "pause"), ("POST", "replay"), ("POST", "get")]:
            refused = await browser.ask(f"{QUEUE}/{path}", method, GET_ONE)
            assert (refused.status, "exclusive access to locked queue" in refused.json["reason"]) == (400, True), path


async def test_dead_letters_go_back_with_the_rights_of_who_asks():
    asked = []

    async def command(request):
        asked.append(request)
        return {"replayed": 1, "kept": {}, "next": None}

    async with open_browser(command) as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        done = await browser.ask(f"{QUEUE}/replay", "POST", {"reason": "rejected", "queue": "work", "limit": "5"})
        assert (done.status, done.json["replayed"]) == (200, 1)
        assert asked == [{
            "do": "replay", "vhost": "/", "queue": "q", "user": "guest", "original": "work", "reason": "rejected",
            "limit": 5, "after": 0, "again": False, "dry_run": False,
        }]  # fmt: skip
        assert (await browser.ask("queues/%2F/none/replay", "POST", b"{}")).status == 404
        assert (await browser.ask(f"{QUEUE}/replay", "POST", {"again": 5})).status == 400
