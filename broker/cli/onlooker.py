"""Somebody who watches the cluster: which queues, by what they are sorted, and what was seen last.

Decides what is asked of the nodes for one look, and how often. It must not know how it is shown.
"""

import threading
from dataclasses import dataclass, field, replace
from typing import Any, Final

from broker.cli.events import OVERLAP_MS, fetch_events, merge_events
from broker.cli.failures import Failed
from broker.cli.road import STATUS_TIMEOUT_S, Road
from broker.cli.status import fetch_status
from broker.cli.vocabulary import Status

SORTS: Final = ("messages", "in", "out", "unacked", "name")
EVENTS_MAX: Final = 100
ROWS_MAX: Final = 500
"""So many queues can be scrolled through; a filter finds the others."""


@dataclass(frozen=True)
class View:
    """What somebody wants to see."""

    sort: str = SORTS[0]
    text: str = ""
    """In the names of the queues."""
    typing: str | None = None
    """What is being typed in place of that."""
    offset: int = 0
    over: bool = False

    def after(self, key: str, page: int) -> "View":
        """The view after a key was pressed; `page`: how many queues are shown."""
        if self.typing is not None:
            return self._typed(key)
        moves = {"up": -1, "down": 1, "page up": -page, "page down": page, "home": -self.offset}
        if key in moves:
            return replace(self, offset=min(max(0, self.offset + moves[key]), ROWS_MAX - page))
        match key:
            case "q":
                return replace(self, over=True)
            case "s":
                return replace(self, sort=SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)], offset=0)
            case "/":
                return replace(self, typing=self.text)
            case "escape":
                return replace(self, text="", offset=0)
        return self

    def _typed(self, key: str) -> "View":
        typing = self.typing or ""
        match key:
            case "enter":
                return replace(self, text=typing, typing=None, offset=0)
            case "escape":
                return replace(self, typing=None)
            case "backspace":
                return replace(self, typing=typing[:-1])
        return replace(self, typing=typing + key) if len(key) == 1 else self

    def question(self, rows: int) -> dict[str, Any]:
        """What is asked of a node for it."""
        limit = min(ROWS_MAX, self.offset + rows)
        return {"do": "top", "sort": self.sort, "filter": self.text, "limit": limit}


@dataclass(frozen=True)
class Look:
    """What was seen."""

    status: Status
    top: dict[str, Any]
    """The answer to `top`; {} if no node serves."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """The newest, oldest first."""
    trouble: str = ""
    """Why there was nothing to be seen."""


class Onlooker:
    """Takes one look after the other."""

    def __init__(self, road: Road) -> None:
        self._road = road
        self._events: list[dict[str, Any]] = []

    def look(self, view: View, rows: int) -> Look:
        """One look. Raises Failed if nothing of the cluster answers, not even where it should be."""
        status = fetch_status(self._road, queues=False)
        serving = [node["name"] for node in status["nodes"] if node["state"] == "running"]
        top: dict[str, Any] = {}
        trouble = "" if serving else "no node serves clients"
        for name in serving[:1]:
            try:
                top = self._road.ask(name, view.question(rows), STATUS_TIMEOUT_S)
            except Failed as failed:
                trouble = str(failed)
        return Look(status, top, self._newest_events(), trouble)

    def _newest_events(self) -> list[dict[str, Any]]:
        after_ms = self._events[-1]["stamp_ms"] - OVERLAP_MS if self._events else 0
        found = fetch_events(self._road, after_ms)
        self._events = merge_events([*self._events, *found], 0)[-EVENTS_MAX:]
        return self._events


class Watch:
    """Looks again and again, beside whoever shows what was seen: a node that is slow to answer keeps no key waiting."""

    def __init__(self, onlooker: Onlooker, view: View, rows: int, interval_s: float) -> None:
        self.view = view
        self.rows = rows
        self.seen: Look | None = None
        self.news = threading.Event()
        """Something was seen since this was cleared."""
        self._onlooker = onlooker
        self._interval_s = interval_s
        self._hurry = threading.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        """From now on; the thread ends with the process if it is not told to."""
        threading.Thread(target=self._run, daemon=True, name="watch").start()

    def hurry(self) -> None:
        """The next look is wanted now."""
        self._hurry.set()

    def end(self) -> None:
        """No more looks."""
        self._ended.set()
        self._hurry.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._hurry.clear()
            try:
                self.seen = self._onlooker.look(self.view, self.rows)
            except Failed as failed:
                if self.seen is not None:
                    self.seen = replace(self.seen, trouble=str(failed))
            self.news.set()
            self._hurry.wait(self._interval_s)
