"""Requests that anybody with the cookie can send, with anything in them: each is carried out or refused in one line."""

import json
from contextlib import asynccontextmanager
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.management.census import Census
from broker.node.changes import ALLOWED
from broker.node.commands import Commands
from broker.node.configuration import load
from broker.node.facts import KINDS
from broker.node.healing import Healing
from broker.node.membership import Membership
from broker.node.recoveries import Recoveries
from broker.node.report import Report
from broker.node.set_aside import SetAside
from broker.node.timeline import Timeline
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import Links
from broker.world.clock import RealClock
from broker.world.disk import MemoryDisk
from broker.world.network import TcpNetwork
from tests.cluster.malformed import requests
from tests.vhosts.room import open_hall

MEMBERS = {
    "status": "queues",
    "events": "after_ms",
    "block": "peers",
    "unblock": "",
    "apply": "vhosts users policies operator_policies definitions",
    "promote": "vhost queue node",
    "transfer": "vhost queue node",
    "rebalance": "type vhost_pattern queue_pattern",
    "drain": "node",
    "revive": "node",
    "publish": "vhost exchange key bodies persistent declare",
    "get": "vhost queue count keep",
    "replay": "vhost queue after upto limit search reason original to exchange key again dry_run user",
    "top": "sort limit filter",
    "browse": "vhost queue after offset limit search state body_bytes",
    "describe": "",
    "facts": "kind vhost fields",
    "close_connections": "pids reason delay_ms",
    "purge_queue": "vhost queue",
    "delete_queue": "vhost queue if_unused if_empty",
    "pause_queue": "vhost queue paused",
    "sync": "vhost queue",
    "sync_state": "vhost queue",
    "cancel_sync": "vhost queue",
    "change": "request",
    "authenticate": "user password",
    "export_definitions": "vhost",
    "import_definitions": "definitions vhost",
    "set_vm_memory_high_watermark": "limit",
    "set_disk_free_limit": "limit",
    "recovered_list": "",
    "recovered_show": "file after count",
    "recovered_replay": "file queue",
    "recovered_drop": "file",
}
TEXTS = st.sampled_from(["/", "q", "guest", "", "\x00", "%", "\ud800", "k" * 256])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(), st.just(10**400), TEXTS)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2))
BODIES = st.fixed_dictionaries({"body": TEXTS, "encoding": st.sampled_from(["utf8", "base64", "utf16"])})
POLICIES = st.lists(st.dictionaries(st.sampled_from(["vhost", "name", "pattern", "definition"]), ANYTHING), max_size=1)
NAMES = st.sampled_from(["q", "/", "guest"])
USUAL = {
    **dict.fromkeys(
        ("queues", "persistent", "declare", "keep", "if_unused", "if_empty", "paused", "again", "dry_run"),
        st.booleans(),
    ),
    **dict.fromkeys(
        ("after_ms", "count", "delay_ms", "after", "offset", "limit", "body_bytes", "upto"), st.integers(-1, 3)
    ),
    **dict.fromkeys(("vhosts", "fields", "pids"), st.lists(TEXTS, max_size=2)),
    **dict.fromkeys(("policies", "operator_policies"), POLICIES),
    "peers": st.dictionaries(st.sampled_from(["n1", "n2"]), st.sampled_from(["both", "in", "up"])),
    "users": st.lists(st.fixed_dictionaries({"name": NAMES, "permissions": st.dictionaries(NAMES, ANYTHING)})),
    "definitions": st.dictionaries(st.sampled_from(["users", "queues", "policies"]), st.lists(ANYTHING, max_size=1)),
    "kind": st.sampled_from(sorted(KINDS)),
    "state": st.sampled_from(["all", "ready", "unacked", "out"]),
    "sort": st.sampled_from(["messages", "name", "in", "size"]),
    "type": st.sampled_from(["all", "quorum"]),
    "bodies": st.lists(BODIES, max_size=2),
    "vhost": st.just("/"),
    "queue": st.just("q"),
    "request": st.fixed_dictionaries({"do": st.sampled_from(sorted(ALLOWED))}, optional={"name": ANYTHING}),
    "limit": st.one_of(st.dictionaries(st.sampled_from(["relative", "absolute"]), LEAVES, max_size=1), LEAVES),
}


@asynccontextmanager
async def open_commands():
    cluster, clock = load(None), RealClock()
    credentials = Credentials(Identity("n1", 1, "f"), cluster="test", cookie="c")
    links = Links(TcpNetwork(), credentials, {"n2": "127.0.0.1:1"}, Random(2))
    report = Report(cluster, cluster.node("n1"), Membership(cluster, "n1", MemoryDisk()))
    commands = Commands(report, Timeline("n1", clock, MemoryDisk(), 60), links)
    async with open_hall() as hall:
        report.join(links, None)
        report.hall = hall
        set_aside = SetAside("n1", MemoryDisk(), clock, Timeline("n1", clock, MemoryDisk(), 60), Healing(MemoryDisk()))
        commands.serve(hall, Census(hall, report), Recoveries(hall, set_aside, Timeline("n1", clock, MemoryDisk(), 60)))
        yield commands, hall


async def still_serves(commands):
    body = {"body": "x", "encoding": "utf8"}
    queue = {"vhost": "sound", "queue": "q"}
    sent = await commands.answer({"do": "publish", "vhost": "sound", "key": "q", "bodies": [body], "declare": True})
    got = await commands.answer({"do": "get", **queue})
    return sent["published"] == 1 and got["messages"][0]["body"] == "x" and got["remaining"] == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(requests(MEMBERS, USUAL, TEXTS, ANYTHING), min_size=1, max_size=6))
async def test_whatever_is_asked_is_done_or_refused(asked):
    async with open_commands() as (commands, hall):
        await hall.tree.propose({"do": "put_vhost", "name": "sound"})
        for request in asked:
            answer = await commands.answer(request)
            json.dumps(answer)
            assert isinstance(answer.get("error", ""), str)
        assert await still_serves(commands)
        assert (await commands.answer({"do": "status"}))["state"] == "running"


async def test_every_request_is_among_those_above():
    async with open_commands() as (commands, _):
        assert {*commands._local, *commands._verbs, *commands._parts} == MEMBERS.keys()


def deep(levels):
    return {} if levels == 0 else {"a": deep(levels - 1)}


BODY = {"body": "x", "encoding": "utf8"}
LONG = "9" * 4000


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({}, "do is missing"),
        ({"do": ["get"]}, "do is ['get'], not of type str"),
        ({"do": "status", "queues": 1}, "status: queues is 1, not of type bool"),
        ({"do": "events", "after_ms": True}, "events: after_ms is True, not of type int"),
        ({"do": "block"}, "block: peers is missing"),
        ({"do": "block", "peers": {"n2": ["in"]}}, "n2 is ['in'], not of type str"),
        ({"do": "block", "peers": {"n2": "up"}}, "n2:up does not name a node and one of both, in, out"),
        ({"do": "block", "peers": {"n9": "in"}}, "n9:in does not name a node and one of both, in, out"),
        ({"do": "apply", "vhosts": [1]}, "apply: vhosts has 1, not of type str"),
        ({"do": "apply", "users": [{"name": "x", "permissions": {"/": ".*"}}]}, "/ is '.*', not of type list"),
        ({"do": "publish", "key": "q"}, "publish: bodies is missing"),
        ({"do": "publish", "key": "q", "bodies": [{"body": "x"}]}, "encoding is missing"),
        (
            {"do": "publish", "key": "q", "bodies": [{"body": "x", "encoding": "base64"}]},
            "publish: a body is neither text nor base64",
        ),
        ({"do": "publish", "key": "k" * 256, "bodies": [BODY]}, "publish: key has more than 255 bytes"),
        ({"do": "get", "queue": None}, "get: queue is None, not of type str"),
        ({"do": "facts", "vhost": "/"}, "facts: kind is missing"),
        ({"do": "facts", "kind": "users", "fields": "name"}, "facts: fields is 'name', not of type list"),
        ({"do": "close_connections", "pids": ["x"]}, "close_connections: reason is missing"),
        (
            {"do": "close_connections", "pids": ["x"], "reason": "", "delay_ms": -1},
            "close_connections: delay_ms is -1, not from 0 to 86400000",
        ),
        ({"do": "change"}, "change: request is missing"),
        ({"do": "change", "request": {"do": []}}, "[] is not a change that a command may ask for"),
        ({"do": "authenticate", "user": "guest"}, "authenticate: password is missing"),
        ({"do": "set_disk_free_limit"}, "set_disk_free_limit: limit is missing"),
        ({"do": "set_disk_free_limit", "limit": f"{LONG}GB"}, "no machine has so many bytes"),
        (
            {"do": "set_vm_memory_high_watermark", "limit": {"relative": 10**400}},
            "The threshold should be a fraction between 0.0 and 1.0",
        ),
        ({"do": "status", "more": deep(64)}, "a request is nested at most 64 deep"),
    ],
)
async def test_what_is_malformed_is_refused_in_one_line(asked, error):
    async with open_commands() as (commands, _):
        assert await commands.answer(asked) == {"error": error, "code": "invalid"}


async def test_what_is_deep_but_not_too_deep():
    async with open_commands() as (commands, _):
        assert (await commands.answer({"do": "status", "more": deep(62)}))["state"] == "running"
