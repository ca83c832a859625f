"""Golden stories of a queue: what was done, and below it, indented, what came of it.

A story is a text of comments and commands; its answers are rewritten with --rewrite-stories and read as a diff.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.queues.consumers import ExclusiveUse
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.wire.message import Run, Traits
from tests.queues.fakes import FakeConsumer, run_of

STORIES = Path(__file__).parent.parent / "stories" / "queue"


def spelled(run: Run) -> str:
    """`3-5*`: positions, with a star if they were delivered before."""
    positions = str(run.first) if run.first == run.last else f"{run.first}-{run.last}"
    return positions + "*" * run.redelivered


class Teller:
    """Carries out the commands of one story and notes what happens."""

    def __init__(self) -> None:
        self.now = 0
        self.answers: list[str] = []
        self.consumers: dict[str, FakeConsumer] = {}
        self.turns: list[str] = []
        self.state = ""
        self.expired = False

    def tell(self, command: str) -> list[str]:
        verb, *words = command.split()
        options = dict(word.split("=") for word in words if "=" in word)
        getattr(self, f"do_{verb}")([word for word in words if "=" not in word], options)
        answers = [*self.answers, *self.turns]
        self.answers, self.turns = [], []
        answers += [
            f"dead: {dead.reason} {spelled(dead.run) if dead.run.first else len(dead.run.contents)} -> {dead.exchange}"
            for dead in self.queue.take_dead()
        ]
        if settled := self.queue.take_settled():
            answers.append("settled: " + ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in settled))
        if self.queue.expired and not self.expired:
            self.expired = True
            answers.append("the queue has expired")
        state = f"ready {self.queue.messages_ready}, unacked {self.queue.messages_unacked}"
        if state != self.state:
            self.state = state
            answers.append(state)
        return answers

    @staticmethod
    def settings(options: dict[str, str]) -> Settings:
        values: dict[str, Any] = {
            name.replace("-", "_"): int(value) if value.isdigit() else value for name, value in options.items()
        }
        return Settings(**values)

    @staticmethod
    def span(text: str) -> tuple[int, int]:
        first, _, last = text.partition("-")
        return int(first), int(last or first)

    def do_queue(self, words: list[str], options: dict[str, str]) -> None:
        self.queue = Queue(self.settings(options), logged=True)

    def do_apply(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.apply(self.settings(options), self.now)

    def do_publish(self, words: list[str], options: dict[str, str]) -> None:
        traits = Traits(
            priority=int(options.get("priority", 0)),
            expiration_ms=int(options["expiration"]) if "expiration" in options else None,
        )
        run = run_of(int(words[0]), size=int(options.get("size", 3)), traits=traits)
        refused = sum(stop - start for start, stop in self.queue.publish(run, self.now))
        if refused:
            self.answers.append(f"refused: {refused}")

    def do_consume(self, words: list[str], options: dict[str, str]) -> None:
        tag = words[0]
        consumer = FakeConsumer(
            tag,
            window=int(options.get("window", 1000)),
            ack_required="no-ack" not in words,
            exclusive="exclusive" in words,
            priority=int(options.get("priority", 0)),
        )
        self.consumers[tag] = consumer
        consumer.on_delivery = lambda run: self.turns.append(f"{tag} <- {spelled(run)}")
        try:
            self.queue.consume(consumer)
        except ExclusiveUse:
            self.answers.append("refused: exclusive use")
        else:
            self.queue.pump(consumer)

    def do_room(self, words: list[str], options: dict[str, str]) -> None:
        self.consumers[words[0]].window = int(words[1])
        self.queue.pump(self.consumers[words[0]])

    def do_cancel(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.cancel(self.consumers[words[0]])

    def do_ack(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.settle(self.consumers.get(words[0], words[0]), *self.span(words[1]))

    def do_requeue(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.requeue(self.consumers.get(words[0], words[0]), *self.span(words[1]))

    def do_reject(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.reject(self.consumers.get(words[0], words[0]), *self.span(words[1]))

    def do_release(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.release(self.consumers.get(words[0], words[0]))

    def do_get(self, words: list[str], options: dict[str, str]) -> None:
        run = self.queue.get(words[0], "no-ack" not in words)
        self.answers.append("empty" if run is None else f"{words[0]} <- {spelled(run)}")

    def do_purge(self, words: list[str], options: dict[str, str]) -> None:
        self.answers.append(f"purged: {self.queue.purge()}")

    def do_safe(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.settle_dead(*self.span(words[0]))

    def do_open(self, words: list[str], options: dict[str, str]) -> None:
        if "level" in options:
            self.queue.open_level(int(options["level"]), int(words[0]))
        else:
            self.queue.open_upto = int(words[0])
        self.queue.pump()

    def do_wants(self, words: list[str], options: dict[str, str]) -> None:
        closed = ", ".join(f"level {level} up to {last}" for level, last in self.queue.closed_levels())
        self.answers.append(f"wants open: {'yes' if self.queue.wants_open() else 'no'}; closed: {closed or 'none'}")

    def do_redelivered(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.mark_redelivered(int(words[0]))

    def do_used(self, words: list[str], options: dict[str, str]) -> None:
        self.queue.used()

    def do_at(self, words: list[str], options: dict[str, str]) -> None:
        self.now = int(words[0])
        self.queue.tick(self.now)

    def do_clock(self, words: list[str], options: dict[str, str]) -> None:
        """Time passes, but nobody ticks."""
        self.now = int(words[0])

    def do_deadline(self, words: list[str], options: dict[str, str]) -> None:
        self.answers.append(f"deadline: {self.queue.deadline_ms()}")

    def do_living(self, words: list[str], options: dict[str, str]) -> None:
        self.answers.append("living: " + ", ".join(spelled(run) for run in self.queue.living()))


@pytest.mark.parametrize("path", sorted(STORIES.glob("*.txt")), ids=lambda path: path.stem)
def test_story(path: Path, golden: Callable[[Path, str], None]) -> None:
    teller = Teller()
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += ["    " + answer for answer in teller.tell(line)]
    golden(path, "\n".join(lines) + "\n")
