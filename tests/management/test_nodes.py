"""What nodes say of themselves beyond whether they run; the texts are RabbitMQ 3.10's."""

from datetime import UTC, datetime, timedelta

import pytest
import trio
import trustme

from broker.cluster.records import Life
from broker.management.app import make_app
from broker.management.census import Census
from broker.management.certificate_dates import ends_of
from broker.wire import methods
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk
from tests.management.browser import Browser, FakeFacts, basic, no_command
from tests.management.test_app import add_user
from tests.management.test_rates import open_two as open_two_with_samplers
from tests.management.test_resources import CHECKS, declare, open_one, open_two, sleep_on
from tests.vhosts.room import open_hall


async def test_a_node_tells_what_it_has(autojump_clock):
    async with open_two() as (_, browsers):
        node = await browsers["n1"].json("nodes/n2")
        assert node["db_dir"] == "/data/n2"
        assert (node["config_files"], node["log_files"], node["net_ticktime"]) == (["/cluster.yaml"], ["<stdout>"], 5.0)
        assert {one["name"] for one in node["auth_mechanisms"]} == {"PLAIN", "AMQPLAIN", "EXTERNAL"}
        assert {"direct", "x-delayed-message"} <= {one["name"] for one in node["exchange_types"]}
        assert {"python", "trio"} <= {one["name"] for one in node["applications"]}
        assert node["contexts"] == [{"description": "RabbitMQ Management", "path": "/", "port": "15672"}]
        (link,) = node["cluster_links"]
        assert (link["name"], link["peer_port"]) == ("rabbit@n1", 25672)
        assert link["recv_bytes"] > 0
        assert link["stats"]["send_bytes_details"] == {"rate": 0.0}


@pytest.mark.slow
async def test_links_have_rates(autojump_clock):
    async with open_two_with_samplers() as (_, browsers):
        await trio.sleep(20)
        (link,) = (await browsers["n1"].json("nodes/n1"))["cluster_links"]
        assert link["send_bytes_details"]["rate"] >= 0
        before = link["send_bytes"]
        for _ in range(20):
            await browsers["n1"].json("nodes")
        await trio.sleep(12)
        (link,) = (await browsers["n1"].json("nodes/n1?node_stats_age=30&node_stats_incr=5"))["cluster_links"]
        assert link["send_bytes"] > before + 1000
        assert link["send_bytes_details"]["samples"][0]["sample"] > before


async def test_memory_is_what_is_known_of_it(autojump_clock):
    async with open_two() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a", 4)
        memory = (await browsers["n2"].json("nodes/rabbit@n1/memory"))["memory"]
        assert memory["total"] == {"rss": 1000}
        assert memory["queue_procs"] > 20
        assert sum(value for value in memory.values() if isinstance(value, int)) == 1000
        assert (await browsers["n2"].json("nodes/n2/memory"))["memory"]["queue_procs"] == 0
        relative = (await browsers["n1"].json("nodes/n2/memory/relative"))["memory"]
        assert (relative["total"], relative["other_system"]) == (100, 100)
        assert (await browsers["n1"].json("nodes/n2?memory=true"))["memory"]["total"] == {"rss": 1000}
        assert (await browsers["n1"].ask("nodes/nope/memory")).status == 404
        cluster.nodes["n1"].hall.switchboard.answer("census", sleep_on)
        answer = await browsers["n2"].ask("nodes/n1/memory")
        assert (answer.json, answer.headers["x-warren-silent-nodes"]) == ({"memory": "not_available"}, "n1")


async def test_the_old_health_check(autojump_clock):
    async with open_two() as (cluster, browsers):
        for path in "healthchecks/node", "healthchecks/node/rabbit@n1", "healthchecks/node/n2":
            assert await browsers["n1"].json(path) == {"status": "ok"}
        cluster.nodes["n2"].hall.alarms.limits.disk_free = 1 << 63
        failed = await browsers["n1"].json("healthchecks/node/n2")
        assert failed == {"status": "failed", "reason": "resource alarm(s) in effect: disk"}
        cluster.nodes["n2"].hall.switchboard.answer("census", sleep_on)
        assert (await browsers["n1"].json("healthchecks/node/n2"))["status"] == "failed"
        assert (await browsers["n1"].ask("healthchecks/node/nope")).status == 404


async def test_a_quorum_queue_without_another_copy_is_critical(autojump_clock):
    async with open_two() as (cluster, browsers):
        check = f"{CHECKS}/node-is-quorum-critical"
        body = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
        assert (await browsers["n1"].ask("queues/%2F/q", "PUT", body)).status == 201
        await cluster.until_in_sync("q", "n1", "n2")
        for browser in browsers.values():
            assert await browser.json(check) == {"status": "ok"}
        cluster.kill("n2")
        answer = await browsers["n1"].ask(check)
        assert (answer.status, answer.json["queues"][0]["type"]) == (503, "quorum")
        assert cluster.queue("q").master == Life("n1", 1)
        assert (await browsers["n1"].ask(f"{CHECKS}/node-is-mirror-sync-critical")).status == 200


async def test_one_node_alone_is_never_critical():
    async with open_one() as (_, browser):
        check = await browser.json(f"{CHECKS}/node-is-quorum-critical")
        assert check == {"status": "ok", "reason": "single node cluster"}


# ------------------------------------------------------------------ certificates


def certificate(folder, *, days):
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
    file = folder / "server.pem"
    leaf.cert_chain_pems[0].write_to_path(str(file))
    return str(file), authority.cert_pem.bytes().decode()


def test_the_end_of_a_certificate_is_read(tmp_path):
    _, authority = certificate(tmp_path, days=10)
    (end,) = ends_of((tmp_path / "server.pem").read_text())
    assert abs(end - datetime.now(UTC) - timedelta(days=10)) < timedelta(minutes=5)
    assert len(ends_of(authority + (tmp_path / "server.pem").read_text())) == 2
    assert ends_of(authority)[0].year >= 2038
    for broken in "AAAA", "MIIB", "MAA=":
        with pytest.raises(ValueError, match=r"certificate|validity|unpack"):
            ends_of(f"-----BEGIN CERTIFICATE-----\n{broken}\n-----END CERTIFICATE-----")


async def test_certificates_that_expire_soon(tmp_path):
    async with open_hall() as hall:
        facts = FakeFacts("n1")
        browser = Browser(make_app(hall, Census(hall, facts), no_command))
        check = f"{CHECKS}/certificate-expiration"
        assert await browser.json(f"{check}/9/years") == {"status": "ok"}
        facts.certificates = [certificate(tmp_path, days=10)[0]]
        for period in "1/weeks", "9/days", "0/MONTHS", "-5/years":
            assert await browser.json(f"{check}/{period}") == {"status": "ok"}
        for period in "2/weeks", "11/days", "1/months", "1/years":
            answer = await browser.ask(f"{check}/{period}")
            assert (answer.status, answer.json["reason"]) == (503, "Certificates expiring")
            assert answer.json["expired"][0]["certfile"] == facts.certificates[0]
        facts.certificates = [str(tmp_path / "gone.pem")]
        answer = await browser.ask(f"{check}/1/days")
        assert (answer.status, "cannot be read" in answer.json["reason"]) == (503, True)
        for period, reason in (
            ("x/days", "Invalid expiration value."),
            ("1.5/days", "Invalid expiration value."),
            ("1/day", "Time unit not recognised. Supported units: days, weeks, months, years."),
        ):
            answer = await browser.ask(f"{check}/{period}")
            assert (answer.status, answer.json) == (400, {"error": "bad_request", "reason": reason})


# ------------------------------------------------------------------ smaller ones


async def test_feature_flags_are_on():
    async with open_one() as (_, browser):
        flags = {flag["name"]: flag["state"] for flag in await browser.json("feature-flags")}
        assert flags["quorum_queue"] == "enabled"
        assert "stream_queue" not in flags
        assert (await browser.ask("feature-flags/quorum_queue/enable", "PUT", {})).status == 204
        answer = await browser.ask("feature-flags/stream_queue/enable", "PUT")
        assert (answer.status, answer.json) == (400, {"error": "bad_request", "reason": "unsupported"})


async def test_attempts_to_log_in_are_counted():
    async with open_one() as (_, browser):
        for _ in range(3):
            (row,) = await browser.json("auth/attempts/rabbit@n1")
        expected = {"protocol": "http", "auth_attempts": 3, "auth_attempts_failed": 0, "auth_attempts_succeeded": 3}
        assert row == expected
        assert await browser.json("auth/attempts/n1/source") == []
        for path in "auth/attempts/nope", "auth/attempts/nope/source":
            assert (await browser.ask(path)).status == 404


@pytest.mark.parametrize(
    ("tag", "seen"),
    [("monitoring", {"auth", "memory", "check"}), ("management", {"check"}), ("policymaker", {"check"})],
)
async def test_who_may_look(tag, seen):
    """As RabbitMQ answers to users with one tag."""
    async with open_one() as (hall, browser):
        await add_user(hall, tag, tag)
        browser.authorization = basic(tag, "p")
        for what, method, path in (
            ("auth", "GET", "auth/attempts/n1"),
            ("auth", "GET", "auth/attempts/n1/source"),
            ("memory", "GET", "nodes/n1/memory"),
            ("memory", "GET", "nodes/n1/memory/relative"),
            ("check", "GET", "healthchecks/node"),
            ("check", "GET", f"{CHECKS}/node-is-quorum-critical"),
            ("check", "GET", f"{CHECKS}/certificate-expiration/1/days"),
            ("flags", "GET", "feature-flags"),
            ("reset", "DELETE", "reset"),
        ):
            answer = await browser.ask(path, method)
            if what in seen:
                assert answer.status == 200, path
            else:
                who = "administrator" if what in ("flags", "reset") else "monitor"
                refused = {"error": "not_authorised", "reason": f"Not {who} user"}
                assert (answer.status, answer.json) == (401, refused), path


async def test_what_was_before_is_forgotten(autojump_clock):
    async with open_two_with_samplers() as (cluster, browsers):
        await declare(cluster.nodes["n1"].hall, "a", 4)
        await trio.sleep(22)
        curve = "queues/%2F/a?lengths_age=10&lengths_incr=5"
        for reset, is_left in ("reset/n2", True), ("reset", False):
            assert (await browsers["n2"].ask(reset, "DELETE")).status == 204
            assert ("samples" in (await browsers["n2"].json(curve))["messages_details"]) is is_left
        assert (await browsers["n2"].ask("reset/nope", "DELETE")).status == 404


async def test_a_queue_names_its_consumers(autojump_clock):
    async with open_two() as (cluster, browsers):
        client = await cluster.nodes["n2"].client()
        for name in "q", "r":
            await client.ask(1, methods.QueueDeclare(queue=name), methods.QueueDeclareOk)
            await client.ask(1, BasicConsume(queue=name, consumer_tag=f"t{name}"), BasicConsumeOk)
        (consumer,) = (await browsers["n1"].json("queues/%2F/q"))["consumer_details"]
        assert (consumer["consumer_tag"], consumer["queue"]["name"]) == ("tq", "q")
