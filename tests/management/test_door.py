"""The door on a real socket of this machine."""

import socket

import trio

from broker.management.census import Census
from broker.management.door import HttpDoor, api, bad_news
from tests.management.browser import FakeFacts, basic, no_command
from tests.vhosts.room import open_hall

GRACE_S = 5


async def ask(address, path, password="guest"):
    """One request; the head and the body of the answer."""
    host, _, port = address.rpartition(":")
    async with await trio.open_tcp_stream(host.strip("[]"), int(port)) as stream:
        head = (
            f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {basic('guest', password)}\r\n\r\n"
        )
        await stream.send_all(head.encode())
        answer = b"".join([part async for part in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body.decode()


async def test_visitors_come_and_go(caplog):
    with trio.fail_after(30):
        async with open_hall() as hall, trio.open_nursery() as nursery:
            door = HttpDoor(api(hall, Census(hall, FakeFacts("n1")), no_command), "127.0.0.1:0")
            await door.open()
            assert not door.address.endswith(":0")
            nursery.start_soon(door.run)
            head, body = await ask(door.address, "/api/queues/%2F/none")
            assert head.startswith("HTTP/1.1 404")
            assert "hypercorn" not in head
            assert body == '{"error":"Object Not Found","reason":"Not Found"}'
            head, body = await ask(door.address, "/")
            assert head.startswith("HTTP/1.1 200")
            assert body.startswith("<!doctype html>")
            head, _ = await ask(door.address, "/api/overview", "wrong")
            assert head.startswith("HTTP/1.1 401")
            await door.close(GRACE_S)
            assert cannot_connect(door.address)
    assert not caplog.records


class Faulty(HttpDoor):
    """The first time its framework is asked to serve, it breaks."""

    def _prepare(self, listening):
        serve, times = super()._prepare(listening), []

        async def serve_the_second_time():
            times.append(1)
            if len(times) == 1:
                raise RuntimeError("a bug of theirs")
            await serve()

        return serve_the_second_time


async def test_a_fault_in_there_does_not_end_the_node(caplog, monkeypatch):
    monkeypatch.setattr("broker.management.door.AFTER_FAULT_S", 0.01)
    with trio.fail_after(30):
        async with open_hall() as hall, trio.open_nursery() as nursery:
            door = Faulty(api(hall, Census(hall, FakeFacts("n1")), no_command), "127.0.0.1:0")
            await door.open()
            nursery.start_soon(door.run)
            head, _ = await ask(door.address, "/api/whoami")
            assert head.startswith("HTTP/1.1 200")
            await door.close(GRACE_S)
    assert [record.exc_text.splitlines()[-1] for record in caplog.records] == ["RuntimeError: a bug of theirs"]


async def test_a_door_where_nobody_knocked_closes_at_once():
    with trio.fail_after(GRACE_S):
        async with open_hall() as hall, trio.open_nursery() as nursery:
            door = HttpDoor(api(hall, Census(hall, FakeFacts("n1")), no_command), "127.0.0.1:0")
            await door.open()
            nursery.start_soon(door.run)
            await door.close(2 * GRACE_S)
            assert cannot_connect(door.address)


async def test_a_failed_node_says_why_to_everybody():
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            door = HttpDoor(bad_news("n1/journal: Input/output error"), "127.0.0.1:0")
            await door.open()
            nursery.start_soon(door.run)
            for path in ("/api/health/checks/alarms", "/api/health/checks/port-listener/5672"):
                head, body = await ask(door.address, path, "whoever")
                assert head.startswith("HTTP/1.1 503")
                assert body == '{"status":"failed","reason":"n1/journal: Input/output error"}'
            head, body = await ask(door.address, "/api/overview")
            assert head.startswith("HTTP/1.1 503")
            assert body == '{"error":"node_failed","reason":"n1/journal: Input/output error"}'
            await door.close(GRACE_S)


def cannot_connect(address):
    host, _, port = address.rpartition(":")
    with socket.socket() as tried:
        return tried.connect_ex((host, int(port))) != 0
