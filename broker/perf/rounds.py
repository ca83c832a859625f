"""The rounds of a drill: wait until the cluster is whole, hurt it, see who takes over and how long it took.

Decides when a round may begin, carries out the steps of its fault, and matches promotions with what caused them. It
must not know how faults are chosen (`faults`), done (`control`) or messages judged (`judge`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from broker.perf.control import Picture
from broker.perf.crew import Crew
from broker.perf.faults import SECOND, Deck, Fault, Step
from broker.perf.judge import Judge

LOOK_AGAIN_S = 0.05
SETTLE_TIMEOUT_S = 60.0
QUEUES_MAX = 4


class Hand(Protocol):
    """What the rounds need of `Control`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every node."""

    async def look(self) -> Picture:
        """What the nodes say now."""

    async def act(self, verb: str, node: str) -> None:
        """kill, start, freeze, thaw."""

    async def cut(self, node: str, *, way: str = "both", other: str = "") -> None:
        """Cut a node off, from one other or from all; `way` as in `Step`."""

    async def heal(self) -> None:
        """Mend every cut."""


class Stuck(Exception):
    """The cluster did not come to rest, or no mirror took over, in time; the text says what is missing."""


@dataclass
class Hit:
    """A node was hurt: what it mastered needs new masters. `since` is when, on the trio clock."""

    round: int
    node: str
    cause: str
    since: float
    queues: tuple[str, ...]
    survivors: tuple[str, ...]


@dataclass
class Log:
    """What happened: every hit, and of each round the fault, the nodes hurt and the seconds until all was whole."""

    hits: list[Hit] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)


class Rounds:
    """Carries out a drill's rounds."""

    def __init__(
        self,
        hand: Hand,
        crew: Crew,
        judge: Judge,
        deck: Deck,
        prefix: str,
        *,
        promotion_timeout_s: float,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._hand = hand
        self._crew = crew
        self._judge = judge
        self._deck = deck
        self._prefix = prefix
        self._promotion_timeout_s = promotion_timeout_s
        self._say = say
        # What the drill has done and not undone: killed, frozen or cut nodes.
        self._down: dict[str, str] = {}
        self.log = Log()

    async def settle(self) -> Picture:
        """Wait until every node runs, every queue has all copies in sync, and the crew is at home. Raises Stuck."""
        deadline = trio.current_time() + SETTLE_TIMEOUT_S
        while True:
            picture = await self._hand.look()
            missing = picture.unsettled(self._hand.names, self._prefix)
            if missing is None:
                self._crew.call_home()
                if self._crew.is_complete and set(picture.queues(self._prefix)) >= set(self._crew.queues):
                    return picture
                missing = "not everybody who publishes and consumes is back at home"
            if trio.current_time() > deadline:
                raise Stuck(f"not whole after {SETTLE_TIMEOUT_S:g} s: {missing}")
            await trio.sleep(LOOK_AGAIN_S)

    async def play(self, declare: Callable[[str], Any]) -> None:
        """One round, from a whole cluster to a whole cluster. `declare(node)` makes one more queue on a node."""
        picture = await self.settle()
        node = self._deck.wants_queue_on(picture.scene(self._prefix))
        if node is not None:
            self._crew.queues.append(await declare(node))
            if len(self._crew.queues) > QUEUES_MAX:
                self._crew.retired.append(self._crew.queues.pop(0))
            picture = await self.settle()
        scene = picture.scene(self._prefix)
        masters = {queue: master for queue, master in scene.masters.items() if queue in self._crew.queues}
        fault = self._deck.deal(scene._replace(masters=masters))
        began, before = trio.current_time(), len(self.log.hits)
        self.log.rounds.append({"fault": fault.name, "nodes": [], "s": None})
        try:
            await self._carry_out(fault, picture)
        finally:
            await self.undo()
        await self.settle()
        hits, seconds = self.log.hits[before:], trio.current_time() - began
        self.log.rounds[-1] |= {"nodes": list(dict.fromkeys(hit.node for hit in hits)), "s": round(seconds, 2)}
        self._tell(fault, hits, seconds)

    async def undo(self) -> None:
        """Bring back whatever is still killed, frozen or cut off."""
        with trio.CancelScope(shield=True):
            for node, state in list(self._down.items()):
                if state == "cut":
                    await self._hand.heal()
                else:
                    await self._hand.act({"killed": "start", "frozen": "thaw"}[state], node)
                del self._down[node]

    async def _carry_out(self, fault: Fault, picture: Picture) -> None:
        names = {"": ""}
        for step in fault.steps:
            if step.node == SECOND and SECOND not in names:
                picture = await self._hand.look()
                names[SECOND] = picture.scene(self._prefix).masters.get(fault.queue, self._hand.names[0])
            await self._do(step._replace(node=names.get(step.node, step.node)), fault, picture)

    async def _do(self, step: Step, fault: Fault, picture: Picture) -> None:
        match step.verb:
            case "pause":
                await trio.sleep(step.seconds)
            case "promoted":
                await self._wait_for_promotion(step.node, fault.queue)
            case "kill":
                self._deck.count_kill(leader=step.node == picture.leader)
                since = trio.current_time()
                await self._hand.act("kill", step.node)
                self._hit(step, picture, self._death_of(step.node, since), "killed")
            case "freeze":
                await self._hand.act("freeze", step.node)
                self._hit(step, picture, trio.current_time(), "frozen")
            case "cut":
                await self._hand.cut(step.node, way=step.way, other=step.other)
                self._hit(step, picture, trio.current_time(), "cut")
            case "start" | "thaw":
                await self._hand.act(step.verb, step.node)
                self._down.pop(step.node, None)
            case "heal":
                await self._hand.heal()
                self._down.clear()

    def _death_of(self, node: str, asked: float) -> float:
        """When the process died: as the broken connections to it told, at the latest when the supervisor said so."""
        lost = self._crew.lost_at.get(node, 0.0)
        return lost if lost >= asked else trio.current_time()

    def _hit(self, step: Step, picture: Picture, since: float, state: str) -> None:
        self._down[step.node] = state
        if not step.cause:
            return
        masters = picture.scene(self._prefix).masters
        queues = tuple(queue for queue in self._crew.queues if masters.get(queue) == step.node)
        survivors = tuple(name for name in self._hand.names if name != step.node)
        self.log.hits.append(Hit(len(self.log.rounds), step.node, step.cause, since, queues, survivors))

    async def _wait_for_promotion(self, node: str, queue: str) -> None:
        hit = next(hit for hit in reversed(self.log.hits) if hit.node == node)
        deadline = trio.current_time() + self._promotion_timeout_s
        # Whoever publishes, and from wherever by now: the confirm of a later message proves a new master.
        while self._judge.promotion_ms(queue, hit.since, self._hand.names) is None:
            if trio.current_time() > deadline:
                raise Stuck(
                    f"no mirror of {queue} took over within {self._promotion_timeout_s:g} s of the loss of {node}"
                )
            await trio.sleep(0.005)

    def _tell(self, fault: Fault, hits: Iterable[Hit], seconds: float) -> None:
        times = [self._judge.promotion_ms(queue, hit.since, hit.survivors) for hit in hits for queue in hit.queues]
        known = [ms for ms in times if ms is not None]
        nodes = ", ".join(dict.fromkeys(hit.node for hit in hits))
        took = f"first confirm after {_span(known)} ms" if known else "no master was hit"
        number = len(self.log.rounds)
        self._say(f"round {number}: {fault.name.replace('_', ' ')} {nodes}: {took}, whole again after {seconds:.1f} s")


def match_promotions(hits: Iterable[Hit], judge: Judge, events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """`promotions` of the report: for each queue of each hit what the time line says of it, and the measured time.

    Events are promotions in the order of the time line; the first one away from the hit node that is not taken yet is
    the hit's. A hit without one is no promotion: the node came back before anybody noticed.
    """
    left = [event for event in events if event["kind"] == "promotion"]
    found = []
    for hit in hits:
        for queue in hit.queues:
            for event in left:
                if event["queue"] == queue and event["from"] == hit.node:
                    left.remove(event)
                    ms = judge.promotion_ms(queue, hit.since, hit.survivors)
                    found.append(
                        {
                            "queue": queue,
                            "cause": hit.cause,
                            "from": event["from"],
                            "to": event["to"],
                            "ms": None if ms is None else round(ms, 1),
                            "missing": event["missing"],
                            "in_sync": event.get("in_sync"),
                            "kinds": event.get("kinds"),
                            "round": hit.round,
                        }
                    )
                    break
    return found


def _span(figures: list[float]) -> str:
    """The least and the greatest, as people say it: one if they look the same."""
    return " to ".join(dict.fromkeys((f"{min(figures):.0f}", f"{max(figures):.0f}")))
