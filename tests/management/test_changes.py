"""What requests may do, with which bodies, and what becomes of messages that are published and fetched by HTTP."""

import gzip
import json
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest
import trio

from broker.management import app as application
from broker.management.app import REQUESTS_MAX, WRONG_LOGIN_S, make_app
from broker.management.census import Census
from broker.management.route import CHANGE_S, Right
from broker.management.routes import ROUTES
from tests.management.browser import Browser, FakeFacts, basic, no_command
from tests.vhosts.room import open_hall

GET_ONE = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
QUEUE = "queues/%2F/q"


@asynccontextmanager
async def open_browser(command=no_command):
    async with open_hall() as hall:
        yield hall, Browser(make_app(hall, Census(hall, FakeFacts("n1")), command))


def message(payload="x", key="q", encoding="string", **properties):
    return {"properties": properties, "routing_key": key, "payload": payload, "payload_encoding": encoding}


async def publish(browser, **said):
    answer = await browser.ask("exchanges/%2F/amq.default/publish", "POST", message(**said))
    assert answer.status == 200, answer.body
    return answer.json["routed"]


async def get(browser, **asked):
    answer = await browser.ask(f"{QUEUE}/get", "POST", {**GET_ONE, **asked})
    assert answer.status == 200, answer.body
    return answer.json


# ------------------------------------------------------------------ rights


async def add_user(hall, name, *tags, vhost=None):
    await hall.tree.propose({"do": "put_user", "name": name, "password": "p", "tags": list(tags)})
    if vhost is not None:
        nothing = {"configure": "^$", "write": "^$", "read": "^$"}
        await hall.tree.propose({"do": "put_permission", "user": name, "vhost": vhost, **nothing})


def filled(path):
    for name, value in {"vhost": "other", "kind": "q"}.items():
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{", "").replace("}", "")


REFUSED = {
    Right.ADMINISTRATOR: ({"manager", "policymaker", "monitor"}, "Not administrator user"),
    Right.MONITORING: ({"manager", "policymaker"}, "Not monitor user"),
    Right.POLICYMAKER: ({"manager", "monitor"}, "User not authorised to access object"),
    Right.VHOST: ({"stranger"}, "User not authorised to access virtual host"),
}


@pytest.mark.parametrize("right", REFUSED, ids=lambda right: right.name)
async def test_every_route_is_refused_to_whom_it_is_not_for(right):
    users, reason = REFUSED[right]
    async with open_browser() as (hall, browser):
        await hall.tree.propose({"do": "put_vhost", "name": "other"})
        for name, tag in {"manager": "management", "policymaker": "policymaker", "monitor": "monitoring"}.items():
            await add_user(hall, name, tag, vhost="other")
        await add_user(hall, "stranger", "monitoring", "policymaker")
        checked = 0
        for route in ROUTES:
            for user in users if route.right is right else ():
                browser.authorization = basic(user, "p")
                answer = await browser.ask(filled(route.path), route.method, b"{}")
                refusal = {"error": "not_authorised", "reason": reason}
                assert (answer.status, answer.json) == (401, refusal), (route, user)
                checked += 1
        assert checked


async def test_objects_are_changed_with_the_rights_of_a_client():
    """A tag opens the door, permissions say what may be done inside."""
    async with open_browser() as (hall, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        await add_user(hall, "manager", "management", vhost="/")
        browser.authorization = basic("manager", "p")
        for method, path, body in [
            ("PUT", "queues/%2F/new", {}),
            ("DELETE", QUEUE, {}),
            ("DELETE", f"{QUEUE}/contents", {}),
            ("POST", f"{QUEUE}/get", GET_ONE),
            ("PUT", "exchanges/%2F/new", {"type": "direct"}),
            ("DELETE", "exchanges/%2F/amq.direct", {}),
            ("POST", "exchanges/%2F/amq.direct/publish", message()),
            ("POST", "bindings/%2F/e/amq.direct/q/q", {}),
            ("GET", "aliveness-test/%2F", {}),
        ]:
            answer = await browser.ask(path, method, body)
            assert (answer.status, answer.json["reason"]) == (401, "Access refused."), path


async def test_a_policymaker_makes_policies_where_he_may_enter_only():
    async with open_browser() as (hall, browser):
        await hall.tree.propose({"do": "put_vhost", "name": "other"})
        await add_user(hall, "maker", "policymaker", vhost="other")
        browser.authorization = basic("maker", "p")
        policy = {"pattern": "^a", "definition": {"max-length": 1}}
        assert (await browser.ask("policies/other/p", "PUT", policy)).status == 201
        refused = await browser.ask("policies/%2F/p", "PUT", policy)
        assert (refused.status, refused.json["reason"]) == (401, "User not authorised to access object")


# ------------------------------------------------------------------ bodies


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("PUT", "vhosts/v", {"tracing": True}, "does not trace"),
        ("PUT", "users/u", {"password": 5, "tags": []}, "password"),
        ("PUT", "users/u", {"tags": 5}, "tags"),
        ("PUT", "users/u", {"tags": [5]}, "tags"),
        ("PUT", "users/u", {"tags": "", "limits": 5}, "limits"),
        ("POST", "users/bulk-delete", {"users": 5}, "users"),
        ("PUT", "permissions/%2F/guest", {"configure": "", "write": "", "read": 5}, "read"),
        ("PUT", "exchanges/%2F/x", {"type": 5}, "type"),
        ("PUT", "exchanges/%2F/x", {"arguments": 5}, "arguments"),
        ("PUT", QUEUE, {"node": 5}, "node"),
        ("PUT", QUEUE, {"arguments": None}, "arguments"),
        ("PUT", QUEUE, {"arguments": {"x": 2**64}}, "64 bits"),
        ("PUT", QUEUE, {"arguments": {"x" * 256: 1}}, "255 bytes"),
        ("PUT", "queues/%2F/" + "q" * 256, {}, "255 bytes"),
        ("PUT", "exchanges/%2F/" + "q" * 256, {"type": "direct"}, "255 bytes"),
        ("POST", "bindings/%2F/e/amq.direct/q/q", {"routing_key": "k" * 256}, "255 bytes"),
        ("PUT", "policies/%2F/p", {"pattern": "a", "definition": 5}, "definition"),
        ("POST", "exchanges/%2F/amq.direct/publish", message(headers=5), "headers"),
        ("POST", "exchanges/%2F/amq.direct/publish", message(timestamp=-1), "timestamp"),
        ("POST", "exchanges/%2F/amq.direct/publish", message(message_id="m" * 256), "message_id"),
        ("POST", "exchanges/%2F/amq.direct/publish", message(reply_to="amq.rabbitmq.reply-to"), "fast reply consumer"),
        ("POST", f"{QUEUE}/get", {**GET_ONE, "ackmode": "x"}, "ackmode"),
    ],
)
async def test_wrong_types_are_refused_and_named(method, path, body, says):
    """RabbitMQ fails with 500 in most of these."""
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        answer = await browser.ask(path, method, body)
        assert (answer.status, answer.json["error"]) == (400, "bad_request")
        assert says in json.dumps(answer.json["reason"])


@pytest.mark.parametrize(
    "raw",
    [b"x", b"[1]", b"5", b'{"a":', b"\xff", b'{"name":"\\ud800"}', b'{"a":NaN}', b"[" * 100_000, b'{"a":' * 100_000],
    ids=repr,
)
async def test_what_is_no_object_is_no_body(raw):
    async with open_browser() as (_, browser):
        answer = await browser.ask("cluster-name", "PUT", raw)
        assert (answer.status, answer.json) == (400, {"error": "bad_request", "reason": "not_json"})


async def test_tables_as_deep_as_amqp_allows():
    deep = 0
    for _ in range(100):
        deep = {"a": deep}
    async with open_browser() as (_, browser):
        answer = await browser.ask(QUEUE, "PUT", {"arguments": {"x": deep}})
        assert (answer.status, "deep" in answer.json["reason"]) == (400, True)


async def test_bodies_have_an_end(monkeypatch):
    monkeypatch.setattr(application, "BODY_BYTES_MAX", 100)
    async with open_browser() as (_, browser):
        assert (await browser.ask("cluster-name", "PUT", b" " * 100)).status == 400
        answer = await browser.ask("cluster-name", "PUT", b" " * 101)
        assert (answer.status, answer.json["error"]) == (413, "payload_too_large")


@pytest.mark.parametrize("path", ["queues/%2F/%ff", "vhosts/%80", "users/%C3"])
async def test_names_that_are_no_text_are_not_there(path):
    async with open_browser() as (_, browser):
        for method in ("GET", "PUT", "DELETE"):
            assert (await browser.ask(path, method, {"tags": ""})).status == 404


async def test_long_answers_are_packed_if_that_is_understood():
    async with open_browser() as (_, browser):
        for number in range(40):
            await browser.ask(f"queues/%2F/q{number}", "PUT", b"{}")
        plain = await browser.ask("queues")
        packed = await browser.ask("queues", accept_encoding="deflate, gzip")
        assert packed.headers["content-encoding"] == "gzip"
        assert len(packed.body) < len(plain.body) / 4
        assert json.loads(gzip.decompress(packed.body)) == plain.json


async def test_who_guesses_passwords_waits(autojump_clock):
    async with open_browser() as (_, browser):
        before = trio.current_time()
        browser.authorization = None
        assert (await browser.ask("whoami")).status == 401
        assert trio.current_time() == before
        browser.authorization = basic("guest", "wrong")
        assert (await browser.ask("whoami")).status == 401
        assert trio.current_time() == before + WRONG_LOGIN_S


# ------------------------------------------------------------------ messages


async def test_a_message_comes_out_as_it_went_in():
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", {"durable": True})
        properties = {"delivery_mode": 2, "headers": {"a": [1, "b"]}, "timestamp": 5, "correlation_id": "c"}
        assert await publish(browser, payload="h\u00e9", **properties)
        assert await publish(browser, payload=b64encode(b"\xff\x00").decode(), encoding="base64")
        first, second = await get(browser, count=5)
        assert first == {
            "payload_bytes": 3,
            "redelivered": False,
            "exchange": "",
            "routing_key": "q",
            "message_count": 1,
            "properties": properties,
            "payload": "h\u00e9",
            "payload_encoding": "string",
        }
        assert (second["payload"], second["payload_encoding"], second["message_count"]) == ("/wA=", "base64", 0)
        assert await get(browser) == []


@pytest.mark.parametrize(
    ("ackmode", "stays"),
    [
        ("ack_requeue_true", True),
        ("reject_requeue_true", True),
        ("ack_requeue_false", False),
        ("reject_requeue_false", False),
    ],
)
async def test_what_becomes_of_fetched_messages(ackmode, stays):
    async with open_browser() as (_, browser):
        await browser.ask("queues/%2F/dead", "PUT", b"{}")
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        await browser.ask(QUEUE, "PUT", {"arguments": arguments})
        for payload in ("1", "2"):
            await publish(browser, payload=payload)
        assert [one["redelivered"] for one in await get(browser, count=2, ackmode=ackmode)] == [False, False]
        after = await get(browser, count=5)
        assert [(one["payload"], one["redelivered"]) for one in after] == ([("1", True), ("2", True)] if stays else [])
        answer = await browser.ask("queues/%2F/dead/get", "POST", {**GET_ONE, "count": 5})
        buried = ["1", "2"] if ackmode == "reject_requeue_false" else []
        assert [one["payload"] for one in answer.json] == buried


async def test_the_word_of_older_clients_for_what_becomes_of_messages():
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        await publish(browser)
        asked = {"count": 1, "encoding": "auto"}
        for requeue, left in ((True, 1), (False, 0)):
            assert len((await browser.ask(f"{QUEUE}/get", "POST", {**asked, "requeue": requeue})).json) == 1
            assert len(await get(browser, ackmode="ack_requeue_true")) == left


async def test_a_queue_that_refuses_is_no_success():
    async with open_browser() as (_, browser):
        await browser.ask(QUEUE, "PUT", {"arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}})
        assert await publish(browser)
        answer = await browser.ask("exchanges/%2F/amq.default/publish", "POST", message())
        assert (answer.status, answer.json["reason"]) == (400, "rejected by a queue")


async def test_actions_are_commands():
    asked = []

    async def command(request):
        asked.append(request)
        return {}

    async with open_browser(command) as (_, browser):
        await browser.ask(QUEUE, "PUT", {"durable": True})
        assert (await browser.ask(f"{QUEUE}/actions", "POST", {"action": "sync"})).status == 204
        assert not asked  # nothing to fill
        definition = {"ha-mode": "all"}
        await browser.ask("policies/%2F/p", "PUT", {"pattern": ".*", "definition": definition})
        assert (await browser.ask(f"{QUEUE}/actions", "POST", {"action": "sync"})).status == 204
        assert (await browser.ask(f"{QUEUE}/actions", "POST", {"action": "cancel_sync"})).status == 204
        assert asked == [{"do": do, "vhost": "/", "queue": "q"} for do in ("sync", "cancel_sync")]


# ------------------------------------------------------------------ definitions


async def test_definitions_come_as_the_form_of_a_page_too():
    file = {"vhosts": [{"name": "by form"}]}
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="d.json"\r\n'
        b"Content-Type: application/json\r\n\r\n" + json.dumps(file).encode() + b"\r\n--b--\r\n"
    )
    async with open_browser() as (_, browser):
        answer = await browser.ask("definitions", "POST", form, content_type="multipart/form-data; boundary=b")
        assert answer.status == 204
        assert "by form" in [vhost["name"] for vhost in await browser.json("vhosts")]


async def test_a_form_leads_nowhere_else():
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n{}\r\n' + (
        b'--b\r\nContent-Disposition: form-data; name="redirect"\r\n\r\n%s\r\n--b--\r\n'
    )
    async with open_browser() as (_, browser):
        kind = {"content_type": "multipart/form-data; boundary=b"}
        answer = await browser.ask("definitions", "POST", form % b"/#/", **kind)
        assert (answer.status, answer.headers["location"]) == (303, "/#/")
        for target in (b"//elsewhere.example", b"https://elsewhere.example", b"/\\elsewhere.example"):
            assert (await browser.ask("definitions", "POST", form % target, **kind)).status == 400


async def test_a_file_to_keep_has_a_harmless_name():
    async with open_browser() as (_, browser):
        answer = await browser.ask('definitions?download=a".json%0d%0aset-cookie:x')
        assert answer.headers["content-disposition"] == 'attachment; filename="a.jsonset-cookiex"'


# ------------------------------------------------------------------ waiting


async def test_a_change_without_a_majority_ends_and_holds_nobody_up(autojump_clock):
    async with open_browser() as (hall, browser):
        hall.tree.lease_valid = lambda: False
        hall.tree.sync = trio.sleep_forever
        refused = []

        async def change(number):
            refused.append(await browser.ask(f"queues/%2F/q{number}", "PUT", b"{}"))

        with trio.fail_after(CHANGE_S + 1):
            async with trio.open_nursery() as nursery:
                for number in range(2 * REQUESTS_MAX):
                    nursery.start_soon(change, number)
                await trio.sleep(1)
                assert await browser.json("queues") == []
        assert {answer.status for answer in refused} == {503}
        assert "majority" in refused[0].json["reason"]


@pytest.mark.parametrize("path", ["aliveness-test/%2F", f"{QUEUE}/browse"])
async def test_what_waits_for_a_majority_ends_and_holds_nobody_up(autojump_clock, path):
    """Load balancers ask again and again, most of all while something is wrong."""
    async with open_browser() as (hall, browser):
        await browser.ask(QUEUE, "PUT", b"{}")
        hall.tree.lease_valid = lambda: False
        hall.tree.sync = trio.sleep_forever
        answers = []

        async def wait():
            answers.append(await browser.ask(path))

        with trio.fail_after(CHANGE_S + 1):
            async with trio.open_nursery() as nursery:
                for _ in range(2 * REQUESTS_MAX):
                    nursery.start_soon(wait)
                await trio.sleep(1)
                assert [queue["name"] for queue in await browser.json("queues")] == ["q"]
        assert {answer.status for answer in answers} == {503}


async def test_a_page_of_another_site_changes_nothing():
    """Browsers send the password that they know along with a form of whatever page."""
    async with open_browser() as (_, browser):
        refused = await browser.ask(QUEUE, "PUT", b"{}", sec_fetch_site="cross-site")
        assert (refused.status, refused.json["error"]) == (401, "not_authorised")
        assert (await browser.ask(QUEUE, "PUT", b"{}", sec_fetch_site="same-origin")).status == 201
