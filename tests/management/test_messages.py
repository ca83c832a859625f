"""Messages by HTTP that are odd or large: nobody's next fetch, list or consumer stumbles over them."""

import pytest
import trio

from broker.cluster.refusal import Refused
from broker.vhosts import by_hand
from broker.vhosts.replays import wish_of
from broker.wire.content import assemble
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of_properties
from broker.wire.queue_frames import encode_json
from tests.management.test_changes import GET_ONE, QUEUE, get, message, open_browser, publish


async def put_raw(hall, encoded):
    """As a client of AMQP may: nobody looks at headers when a message comes in."""
    run = Run([assemble(1, encoded, b"x", 0)], make_address("", "q"), traits_of_properties(encoded))
    hall.catalogue.vhosts["/"].handles["q"].publish(run, None)
    await trio.lowlevel.checkpoint()


async def test_headers_that_nobody_can_read_do_not_keep_their_message_from_being_fetched():
    async with open_browser() as (hall, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        await put_raw(hall, b"\x20\x00\x00\x00\x00\x05\x01aZZZ")
        (message,) = await get(browser)
        assert (message["payload"], list(message["properties"])) == ("x", ["raw"])


async def test_numbers_that_json_cannot_say_are_null():
    async with open_browser() as (hall, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        await put_raw(hall, Properties(headers={"a": float("nan"), "b": [float("inf"), 1.5]}).encode())
        for answer in (
            await browser.ask(f"{QUEUE}/browse"),
            await browser.ask(f"{QUEUE}/get", "POST", GET_ONE),
        ):
            assert b"NaN" not in answer.body
            assert b'"headers":{"a":null,"b":[null,1.5]}' in answer.body


async def test_a_number_that_is_none_is_nowhere_accepted():
    async with open_browser() as (_, browser):
        for value in (b"1e400", b"NaN"):
            refused = await browser.ask("global-parameters/x", "PUT", b'{"value": %b}' % value)
            assert (refused.status, refused.json["reason"]) == (400, "not_json")
            file = b'{"global_parameters": [{"name": "x", "value": [%b]}]}' % value
            assert (await browser.ask("definitions", "POST", file)).status == 400
        assert (await browser.ask("global-parameters/x")).status == 404


async def test_properties_go_into_one_frame():
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        refused = await browser.ask("exchanges/%2F/amq.default/publish", "POST", message(headers={"a": "x" * 131072}))
        assert (refused.status, refused.json["reason"]) == (400, "properties have at most 131008 bytes")
        assert await publish(browser, headers={"a": "x" * 130000})


async def test_a_fetch_has_an_end_in_bytes(monkeypatch):
    monkeypatch.setattr(by_hand, "GET_BYTES_MAX", 100)
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        for payload in ("a" * 200, "b" * 10, "c" * 10):
            await publish(browser, payload=payload)
        assert [(one["payload"][0], one["message_count"]) for one in await get(browser, count=5)] == [("a", 2)]
        assert [one["payload"][0] for one in await get(browser, count=5)] == ["b", "c"]


async def test_nothing_is_published_while_clients_have_to_wait():
    async with open_browser() as (hall, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        assert await publish(browser)
        hall.alarms.limits.disk_free = 1 << 63
        for method, path, body in (
            ("POST", "exchanges/%2F/amq.default/publish", message()),
            ("GET", "aliveness-test/%2F", b""),
        ):
            refused = await browser.ask(path, method, body)
            assert (refused.status, refused.json["reason"]) == (503, "publishers wait: low on disk"), path
        with pytest.raises(Refused, match="low on disk"):
            await hall.replays.replay(hall.catalogue.vhosts["/"].handles["q"], wish_of({}))
        assert (await get(browser))[0]["message_count"] == 0
        hall.alarms.limits.disk_free = 0
        hall.pressure._hear("n2", encode_json({"full": True, "share": 1.0, "reasons": ["memory"]}), 0)
        assert (await browser.ask("exchanges/%2F/amq.default/publish", "POST", message())).status == 503
