"""`warren top` on a terminal: what keys do, what is asked, what is shown."""

import io
import os
import pty
import termios
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from broker.cli import onlooker as onlookers
from broker.cli.board import mirrors_of, queue_room, rate_of, screen
from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.keyboard import Keyboard, keys_of
from broker.cli.onlooker import ROWS_MAX, SORTS, Look, Onlooker, View, Watch


def pressed(*keys, view=View(), page=10):  # noqa: B008 - it is frozen
    for key in keys:
        view = view.after(key, page)
    return view


def test_keys():
    assert pressed("q").over
    assert [pressed(*"s" * times).sort for times in range(len(SORTS) + 1)] == [*SORTS, SORTS[0]]
    assert pressed("/", "o", "q", "backspace", "r", "enter").text == "or"
    assert pressed("/", "o", "enter", "/", "x", "escape").text == "o"
    assert pressed("/", "o", "enter", "escape").text == ""
    assert pressed("/", "q", "up", "page down").typing == "q", "while a text is typed, keys are letters"
    assert [pressed(*keys).offset for keys in (["down"] * 3, ["up"], ["page down", "up"], ["down", "home"])] == [
        3,
        0,
        9,
        0,
    ]
    assert pressed(*["page down"] * 100).offset == ROWS_MAX - 10
    assert pressed("down", "s").offset == 0
    assert pressed("x") == View()


def test_what_is_asked_for_a_view():
    view = pressed("s", "/", "a", "enter", "down", "down")
    assert view.question(10) == {"do": "top", "sort": "in", "filter": "a", "limit": 12}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("sq", ["s", "q"]),
        ("\x1b[A\x1b[B\x1b[5~\x1b[6~\x1b[H", ["up", "down", "page up", "page down", "home"]),
        ("\x1b", ["escape"]),
        ("\x1b[15~x\x1b[1;5C", ["x"]),
        ("\x1b[", []),
        ("ü\r\x7f\x01", ["ü", "enter", "backspace"]),
    ],
)
def test_bytes_of_a_terminal_become_keys(text, keys):
    assert keys_of(text) == keys


def test_a_keyboard_leaves_the_terminal_as_it_was():
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with Keyboard(theirs) as keyboard:
            assert not termios.tcgetattr(theirs)[3] & termios.ECHO
            assert keyboard.pressed(0) == []
            os.write(ours, b"s\x1b[A")
            assert keyboard.pressed(1) == ["s", "up"]
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(theirs)
        os.close(ours)


def node(name, state="running"):
    return {"name": name, "state": state, "role": "leader", "reason": None, "maintenance": False, "alarms": [],
            "fsync": "always", "memory_bytes": 1 << 20, "uptime_s": 61.0}  # fmt: skip


STATUS = {"cluster": "test", "members": ["n1", "n2"], "nodes": [node("n1"), node("n2", "killed")], "queues": [],
          "partitions": [], "partition_handling": "pause_minority", "majority": 2}  # fmt: skip


def row(name, **facts):
    return {"name": name, "vhost": "/", "state": "running", "sync_percent": None, "messages": 5, "messages_ready": 5,
            "messages_unacknowledged": 0, "consumers": 1, "master": "n1", "mirrors": ["n2"], "in_sync": ["n2"],
            "unsynchronised": {}, "in_rate": 1.25, "out_rate": 0.0, **facts}  # fmt: skip


def event(number):
    return {"id": str(number), "stamp_ms": number, "node": "n1", "kind": "sync", "text": f"number {number}"}


def look_with(*rows, events=20):
    totals = {"queues": len(rows), "messages": 5, "in_rate": 1.25, "out_rate": 0.0}
    top = {"rows": rows, "waiting": [], "waiting_count": 0, "nodes": {"n1": totals}, "silent": []}
    return Look(STATUS, top, [event(number) for number in range(events)])


def drawn(look, view, height, width=120):
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(screen(look, view, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("height", [24, 30, 50])
def test_a_screen_is_never_higher_than_the_terminal(height):
    look = look_with(*(row(f"q{number}") for number in range(60)))
    lines = drawn(look, View(), height)
    assert len(lines) <= height
    assert lines[-1].startswith("q quit")
    assert sum(line.split()[:1] == [f"q{number}"] for number in range(60) for line in lines) == queue_room(
        STATUS, height
    )
    assert "number 19" in lines[-2]


def test_what_a_screen_shows():
    lines = drawn(look_with(row("a"), row("b", state="syncing", sync_percent=7)), pressed("s"), 40)
    assert lines[0].rstrip() == "test: 1 of 2 nodes run, 2 queues, 5 messages, in 1.2/s, out 0/s; by in"
    assert any("in/s ▾" in line for line in lines)
    assert any("syncing 7%" in line for line in lines)
    assert drawn(look_with(row("a"), row("b")), View(offset=99), 40)[10].split()[0] == "b"
    assert "queues with: ord" in drawn(look_with(), pressed("/", *"ord"), 40)[-1]


def test_what_mirrors_lack():
    assert mirrors_of(row("q", mirrors=None)) == "-"
    assert mirrors_of(row("q", mirrors=[])) == "none"
    lacking = row("q", mirrors=["n2", "n3", "n4"], in_sync=["n2"], unsynchronised={"n3": 1200})
    assert mirrors_of(lacking) == "n2 n3(-1,200) n4(?)"
    assert [rate_of(value) for value in (None, 0, 0.04, 9.96, 10.4, 12345.6)] == [
        "-",
        "0",
        "0.0",
        "10.0",
        "10",
        "12,346",
    ]


class FakeRoad:
    has_supervisor = False
    names = ("n1",)
    cluster = SimpleNamespace(name="test", names=("n1",))

    def __init__(self):
        self.events = [event(1)]
        self.asked = []
        self.answer = {"rows": [], "nodes": {}}

    def ask(self, name, request, timeout_s):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def ask_all(self, request, timeout_s, among=None):
        self.asked.append(request)
        return {"n1": {"events": list(self.events)}}


def test_an_onlooker_asks_for_new_events_only_and_keeps_the_last(monkeypatch):
    monkeypatch.setattr(onlookers, "fetch_status", lambda road, queues: STATUS)
    monkeypatch.setattr(onlookers, "OVERLAP_MS", 0)
    monkeypatch.setattr(onlookers, "EVENTS_MAX", 2)
    road = FakeRoad()
    eyes = Onlooker(road)
    assert [one["id"] for one in eyes.look(View(), 10).events] == ["1"]
    road.events = [event(1), event(2), event(3)]
    assert [one["id"] for one in eyes.look(View(), 10).events] == ["2", "3"]
    assert [one["after_ms"] for one in road.asked] == [-1, 0]
    road.answer = Silent("n1 does not answer")
    assert eyes.look(View(), 10).trouble == "n1 does not answer"


def test_a_watch_looks_again_when_it_is_hurried_and_shows_why_it_cannot():
    looks = []

    class Eyes:
        def look(self, view, rows):
            looks.append(view)
            if len(looks) == 2:
                raise Failed("no node answers")
            return look_with()

    watch = Watch(Eyes(), View(), 10, interval_s=60.0)
    watch.start()
    for number, trouble in ((1, ""), (2, "no node answers"), (3, "")):
        assert watch.news.wait(5)
        watch.news.clear()
        assert (len(looks), watch.seen.trouble) == (number, trouble)
        watch.view = View(sort="in")
        watch.hurry() if number < 3 else watch.end()
    assert looks[-1].sort == "in"
    assert not [one for one in threading.enumerate() if one.name == "watch" and one.join(5) is None and one.is_alive()]
