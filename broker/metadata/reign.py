"""What a leader does with requests while it leads.

Decides each request once, on committed and outstanding state together, and turns it into one transaction; ends the
lives that its detector holds over; has undecided queues looked at again when a member comes into sight. It must not
know how messages travel nor what the procedures do. A reign is thrown away with its epoch.
"""

import logging
from collections.abc import Mapping
from random import Random
from typing import Any

from broker.cluster import schema
from broker.cluster.overlay import Overlay
from broker.cluster.procedures import prepare
from broker.cluster.records import Life
from broker.cluster.refusal import Refused
from broker.cluster.tree import Tree
from broker.cluster.zab import NotLeading, Zab
from broker.metadata.farewells import Farewells
from broker.metadata.requests import Answer, Asked
from broker.metadata.state import Transaction

log = logging.getLogger("warren.metadata")


class Reign:
    """One epoch of leading."""

    def __init__(
        self,
        zab: Zab,
        tree: Tree,
        life: Life,
        chance: Random,
        founding: Mapping[str, Any] | None,
        farewells: Farewells,
    ) -> None:
        """`founding` is the request `found` without its id, for a cluster that has none yet."""
        self.epoch = zab.epoch
        self._zab = zab
        self._life = life
        self._chance = chance
        self._farewells = farewells
        self._overlay = Overlay(tree)
        self._answers: dict[str, dict[int, Answer | None]] = {}
        self._done_below: dict[str, int] = {}
        self._seen: set[Life] | None = None
        self._dead: set[Life] = set()
        """Found dead, though a link may still stand."""
        if schema.cluster(self._overlay) is None and founding is not None:
            self._carry_out("", {**founding, "do": "found", "id": zab.cluster})

    def take(self, asked: Asked, *, leased: bool = True) -> Answer | None:
        """Carry out a request, if it was not before; an answer is returned if no transaction will bring it.

        `leased`: nobody else can lead. A leader who does not know that may not know what was agreed upon either.
        """
        if asked.epoch != self.epoch or asked.number < self._done_below.get(asked.asker, 0):
            return None
        answers = self._answers.setdefault(asked.asker, {})
        self._forget(asked, answers)
        if asked.number not in answers:
            if not self._zab.may_propose() or (asked.request.get("do") == "sync" and not leased):
                return None  # asked again in a while
            answers[asked.number] = self._carry_out(asked.request_id, asked.request)
        return answers[asked.number]

    def look_after_lives(self, now: float) -> None:
        """End the lives that are over; look again at what waited for one that has come into sight. The first time only
        at queues without a master: who was in sight from the beginning has time until the next call."""
        if not self._zab.may_propose():
            return
        dead = self._find_dead(now)
        self._dead = set(dead)  # before the first is ended: none of them takes what another leaves
        for life, proven in dead.items():
            met = self._zab.met(life.node, life.number)
            why = self._farewells.why(life) or ("failure" if met else "absent")
            log.warning("dead node=%s life=%d why=%s proven=%s", life.node, life.number, why, proven)
            self._decree({"do": "end_life", "node": life.node, "life": life.number, "why": why})
        if self._seen is None:
            self._seen = set()
            self._decree({"do": "reconcile"})
        else:
            before, self._seen = self._seen, self._lives_in_sight()
            for life in sorted(self._seen - before):
                self._decree({"do": "reconcile", "node": life.node})
        self._give_votes()

    def _find_dead(self, now: float) -> dict[Life, bool]:
        """Registered lives that are over, or say so, and whether that is proven."""
        found = {}
        for record in schema.members(self._overlay).values():
            if not record.running:
                continue
            life = Life(record.name, record.life)
            verdict = None if life.node == self._life.node else self._zab.verdict(record.name, record.life, now)
            if verdict is not None:
                found[life] = verdict.proven
            elif self._farewells.why(life):
                found[life] = False
        return found

    def _give_votes(self) -> None:
        """The list of members with a vote follows the members in the tree, one at a time; a newcomer once it holds
        everything."""
        members = schema.members(self._overlay.tree)
        wanted = {name: record for name, record in members.items() if not record.leaving}
        voters, guests = self._zab.members, self._zab.guests
        if not wanted or not self._zab.may_propose():
            return
        for name in voters.keys() - wanted.keys():
            self._zab.propose_members({voter: folder for voter, folder in voters.items() if voter != name})
            return
        for name in wanted.keys() & guests.keys() - voters.keys():
            self._zab.propose_members({**voters, name: guests[name]})
            return

    def _lives_in_sight(self) -> set[Life]:
        return {life for life in self._contact() if schema.is_current(self._overlay, life)}

    def _contact(self) -> list[Life]:
        """The lives of others with which this leader speaks."""
        lives = (Life(name, life) for name, life in self._zab.linked.items())
        return [life for life in lives if life not in self._dead]

    def _decree(self, request: dict[str, Any]) -> None:
        """A request of the leader's own: nobody waits for the answer."""
        answer = self._carry_out("", request)
        if answer is not None and answer.refused is not None:
            log.warning("refused request=%s why=%r", request["do"], answer.refused[1])

    def _carry_out(self, request_id: str, request: dict[str, Any]) -> Answer | None:
        """Propose what the request comes to; an answer, if it comes to no transaction."""
        zxid = self._zab.last_zxid + 1
        contact = {life.node: life.number for life in [*self._contact(), self._life]}
        try:
            outcome = prepare(self._overlay, {**request, "contact": contact}, zxid, self._chance)
        except Refused as refused:
            return Answer(request_id, self.epoch, self._overlay.zxid, None, (refused.code, refused.why))
        except Exception:
            # A fault in one procedure must not take down one leader after the other.
            log.exception("failed request=%s", request.get("do"))
            why = f"the request {request.get('do')} could not be carried out; the leader's log says why"
            return Answer(request_id, self.epoch, self._overlay.zxid, None, ("internal", why))
        if not outcome.operations:
            return Answer(request_id, self.epoch, self._overlay.zxid, outcome.answer, None)
        try:
            proposed = self._zab.propose(Transaction(request_id, outcome.answer, outcome.operations).encode())
        except NotLeading:
            return None  # the epoch is used up, and this reign over; it will be asked again in the next one
        assert proposed == zxid, "prepared for another place in the log"
        return None

    def _forget(self, asked: Asked, answers: dict[int, Answer | None]) -> None:
        if asked.done_below > self._done_below.get(asked.asker, 0):
            self._done_below[asked.asker] = asked.done_below
            for number in [number for number in answers if number < asked.done_below]:
                del answers[number]
