"""The loop around the agreement machine: feed, persist, send, apply. The only place with that order.

Decides when the disk is written, when messages leave and when committed transactions reach the tree. It must not know
what requests mean (`reign`) nor who waits for them (`requests` says when they are due). One task writes, one wakes the
machine in time; everything else happens in the turn of whoever brings news: a frame, a link, a request.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import trio

from broker.cluster import schema
from broker.cluster.entries import MARKER, TRANSACTION, DamagedLog, DurableState, LogOp, epoch_of
from broker.cluster.member import Diverged, Yields
from broker.cluster.messages import Malformed
from broker.cluster.partitions import MAJORITY, QuorumRule
from broker.cluster.records import Life, MemberRecord, decode
from broker.cluster.tree import Tree
from broker.cluster.watches import Change
from broker.cluster.zab import Ready, Zab
from broker.metadata import farewells
from broker.metadata.farewells import Farewells
from broker.metadata.reign import Reign
from broker.metadata.requests import Answer, Asked, Requests
from broker.metadata.state import State, lives_in
from broker.peers.links import Links
from broker.storage.journal import JournalFailed
from broker.storage.zab_log import ZabLog

log = logging.getLogger("warren.metadata")

AGREEMENT, REQUEST, ANSWER, FAREWELL, DIFFERENCE = 16, 17, 18, 19, 20
"""Kinds of frames on the control lane."""
LANE = "control"
ENTRIES_MAX = 4096
"""A snapshot is due when the log is longer than this and than the tree."""


class Driver:
    """One member of the cluster in one life, from its start until `run` ends."""

    def __init__(
        self,
        life: Life,
        folder: str,
        members: Sequence[str],
        durable: DurableState,
        disk_log: ZabLog,
        links: Links,
        chance: Random,
        *,
        token: str,
        net_ticktime: float = 5.0,
        founding: Mapping[str, Any] | None = None,
        over: dict[str, int] | None = None,
        rule: QuorumRule = MAJORITY,
        forced: bool = False,
        only_epoch: int | None = None,
    ) -> None:
        """`members`: every node of the configuration; `durable`: what `disk_log` recovered; `over`: by name the newest
        life that this process has proven to be over, kept for the next life of this node.

        `founding`: the request `found`, without its id, for the case that this node leads the cluster first. `rule`,
        `forced`, `only_epoch`, `token`: see `Zab`. Raises DamagedLog.
        """
        now = trio.current_time()
        self.life = life
        self.state = State(Tree(schema.index))
        self.over = False
        """This life, once registered, was ended by the cluster."""
        self.on_over: list[Callable[[], None]] = []
        self.on_quorum: list[Callable[[bool], None]] = []
        self.on_log_failed: list[Callable[[JournalFailed], None]] = []
        """Whoever is told ends this life soon; until then this member hears and speaks, and agrees to nothing."""
        self.has_quorum = False
        self._proven_over = {} if over is None else over
        self.zab = Zab(
            life.node,
            folder,
            members,
            durable,
            now=now,
            life=life.number,
            net_ticktime=net_ticktime,
            over=over,
            rule=rule,
            forced=forced,
            only_epoch=only_epoch,
            token=token,
        )
        self.requests = Requests(f"{chance.getrandbits(64):x}")
        self._disk_log = disk_log
        self._links = links
        self._chance = chance
        self._founding = founding
        self._farewells = Farewells()
        self._reign: Reign | None = None
        self._asked: list[tuple[str, Asked]] = []
        self.applied = 0
        """The last zxid that is applied here."""
        self._lazily: list[LogOp] = []
        self._bundle: Ready | None = None
        self._written = False
        self._bundle_there = trio.Event()
        self._rearm = trio.Event()
        self._armed_for = float("-inf")
        self._failure: Exception | None = None
        self._turning = self._once_more = self._lives_due = False
        self.state.tree.watches.add(schema.MEMBERS, self._member_changed, subtree=True)
        self._take_up(durable, now)
        self._wire_up(links)

    def _take_up(self, durable: DurableState, now: float) -> None:
        if durable.snapshot is not None:
            self.state.restore(durable.snapshot.state)
            self.applied = durable.snapshot.zxid
            self.zab.applied(self.applied, self.state.tree.digest, now)
        for record in lives_in(durable.entries):  # who votes has to be known before they are applied
            self.zab.know_life(record.name, record.life, record.token)

    def _wire_up(self, links: Links) -> None:
        links.handle(AGREEMENT, self._receive)
        links.handle(REQUEST, self._receive_request)
        links.handle(ANSWER, self._receive_answer)
        links.handle(FAREWELL, self._receive_farewell)
        links.handle(DIFFERENCE, self._receive_difference)
        links.on_up.append(self._link_up)
        links.on_down.append(self._link_down)
        links.on_dead.append(self._life_over)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled.

        Raises JournalFailed if the disk does not keep what it is given and nobody wants to be told, Diverged if the
        leader's history and what is committed here part: then this life must end as if killed (DESIGN S8, S9). Raises
        Yields if this history is to be given up for another one.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._wake_in_time)
            self.turn()
            task_status.started()

    # Feed.

    def turn(self) -> None:
        """Do everything that is due now. Called after each piece of news; harmless if repeated."""
        if self._turning:
            self._once_more = True
            return
        self._turning = True
        try:
            going_on = True
            while going_on and self._failure is None:
                self._once_more = False
                self._send(self.zab.take_urgent())
                self._look(trio.current_time())
                self._send(self.zab.take_urgent())
                going_on = self._drain() or self._once_more
        except (Diverged, DamagedLog, Yields) as failure:
            self._fail(failure)
        finally:
            self._turning = False
        if self._deadline() < self._armed_for:
            self._rearm.set()

    def _receive(self, peer: str, payload: bytes, offset: int) -> None:
        try:
            self.zab.receive(peer, payload, trio.current_time())
        except Malformed as error:
            log.error("malformed peer=%s why=%s", peer, error)
        except (Diverged, DamagedLog, Yields) as failure:
            self._fail(failure)
        self.turn()

    def _receive_request(self, peer: str, payload: bytes, offset: int) -> None:
        try:
            asked = Asked.decode(payload)
        except (ValueError, TypeError) as error:
            log.error("malformed request peer=%s why=%s", peer, error)
            return
        if asked.epoch == self.zab.epoch and self.zab.state == "leading":
            self._asked.append((peer, asked))
            self.turn()

    def _receive_answer(self, peer: str, payload: bytes, offset: int) -> None:
        try:
            self.requests.answered(Answer.decode(payload))
        except (ValueError, TypeError) as error:
            log.error("malformed answer peer=%s why=%s", peer, error)
        self.turn()

    def yield_to(self, leader: str, epoch: int) -> None:
        """Give this history up for that of another leader, unless this node follows it already."""
        try:
            self.zab.yield_to(leader, epoch)
        except Yields as yields:
            self._fail(yields)

    def say_farewell(self, why: str) -> None:
        """Let everybody know that this life is about to end: whoever leads, now or next, need not find it out."""
        self._farewells.note(self.life, why)
        for peer in self._links.names:
            self._links.send(peer, LANE, FAREWELL, farewells.encode(self.life.number, why))
        self._lives_due = True
        self.turn()

    def _receive_farewell(self, peer: str, payload: bytes, offset: int) -> None:
        try:
            life, why = farewells.decode(payload)
        except (ValueError, TypeError) as error:
            log.error("malformed farewell peer=%s why=%s", peer, error)
            return
        self._farewells.note(Life(peer, life), why)
        self._lives_due = True
        self.turn()

    def _receive_difference(self, peer: str, payload: bytes, offset: int) -> None:
        """One of both has come back with an older copy of its folder, and taken part as if nothing were missing."""
        if peer == self.zab.leader:
            self._fail(Diverged(f"what is committed here up to {self.applied:#x} is not what {peer} has"))

    def _link_up(self, peer: str, life: int, lane: str) -> None:
        if lane == LANE:
            self.zab.peer_up(peer, life, trio.current_time())
            if peer == self.zab.leader:
                self.requests.send_again()
            self._lives_due = True
            self.turn()

    def _link_down(self, peer: str, life: int, lane: str) -> None:
        if lane == LANE:
            self.zab.peer_down(peer, life, False, trio.current_time())
            self._lives_due = True
            self.turn()

    def _life_over(self, peer: str, life: int) -> None:
        self._proven_over[peer] = max(life, self._proven_over.get(peer, 0))
        self.zab.peer_down(peer, life, True, trio.current_time())
        self._lives_due = True
        self.turn()

    def _member_changed(self, change: Change) -> None:
        if not change.new:
            return
        record = decode(MemberRecord, change.new)
        self.zab.know_life(record.name, record.life, record.token)
        if not record.running:
            self.zab.know_end(record.name, record.life, self.state.tree.zxid)
        if record.name != self.life.node or self.over:
            return
        began = change.old and decode(MemberRecord, change.old).life == self.life.number
        if record.life > self.life.number or (began and not record.running):
            self.over = True
            log.warning("over life=%d why=%s", self.life.number, record.why or "a newer life")
            for callback in self.on_over:
                callback()

    # Drive.

    def _look(self, now: float) -> None:
        """What follows from where this member stands."""
        zab = self.zab
        if self._reign is not None and (not zab.leading or zab.epoch != self._reign.epoch):
            self._reign = None
        self._asked = [(peer, asked) for peer, asked in self._asked if asked.epoch == zab.epoch]
        if zab.leading and zab.active:
            if self._reign is None and zab.may_propose():
                log.info("leads epoch=%d", zab.epoch)
                self._reign = Reign(zab, self.state.tree, self.life, self._chance, self._founding, self._farewells)
                self._lives_due = True
            if self._reign is not None and self._lives_due:
                self._lives_due = False
                self._reign.look_after_lives(now)
            if self._reign is not None and zab.may_propose():
                self._take_asked(self._reign)
        if zab.active and zab.leader is not None:
            self._ask(zab.leader, now)
        for peer, zxid in zab.take_differing().items():
            log.critical("differing member=%s zxid=%#x: its tree is not this leader's", peer, zxid)
            self._links.send(peer, LANE, DIFFERENCE, b"%d" % zxid)
        self.requests.settle(self.applied, zab.stable)
        has_quorum = zab.has_quorum(now)
        if has_quorum != self.has_quorum:
            self.has_quorum = has_quorum
            log.info("quorum=%s epoch=%d leader=%s why=%r", has_quorum, zab.epoch, zab.leader, zab.waiting_for())
            for callback in self.on_quorum:
                callback(has_quorum)

    @property
    def _leased(self) -> bool:
        return trio.current_time() < self.zab.lease_until

    def _take_asked(self, reign: Reign) -> None:
        """Those who are quicker than this leader's disk have asked before the reign began: their requests waited."""
        asked_by, self._asked = self._asked, []
        for peer, asked in asked_by:
            answer = reign.take(asked, leased=self._leased)
            if answer is not None:
                self._links.send(peer, LANE, ANSWER, answer.encode())

    def _ask(self, leader: str, now: float) -> None:
        for asked in self.requests.due(self.zab.epoch, now):
            if leader != self.life.node:
                self._links.send(leader, LANE, REQUEST, asked.encode())
            elif self._reign is not None and (answer := self._reign.take(asked, leased=self._leased)) is not None:
                self.requests.answered(answer)

    def _drain(self) -> bool:
        """Finish the bundle that was written, take the next one; whether anything was done."""
        if self._bundle is not None:
            if not self._written:
                return False
            ready, self._bundle, self._written = self._bundle, None, False
            self._finish(ready)
            return True
        ready = self.zab.take_ready()
        if not ready:
            return False
        if ready.sync:
            self._bundle = ready
            self._bundle_there.set()
        else:
            # Only commit marks, which may be lost: they go to the disk with the next entries.
            self._lazily = ready.log or self._lazily
            self._finish(ready)
        return True

    async def _write(self) -> None:
        while True:
            await self._bundle_there.wait()
            self._bundle_there = trio.Event()
            assert self._bundle is not None
            lazily, self._lazily = self._lazily, []
            try:
                await self._disk_log.persist(lazily + self._bundle.log, sync=True)
            except JournalFailed as failure:
                if not self.on_log_failed:
                    raise
                for callback in self.on_log_failed:
                    callback(failure)
                return
            self._written = True
            self.turn()

    def _finish(self, ready: Ready) -> None:
        """The bundle's log is on the disk: send, then apply."""
        now = trio.current_time()
        self.zab.persisted(now)
        self._send(self.zab.take_urgent())
        self._send(ready.messages)
        self._apply(ready)
        if ready.restore or ready.committed:
            self.zab.applied(self.applied, self.state.tree.digest, now)
        if ready.snapshot_wanted or self.zab.log_length > max(ENTRIES_MAX, len(self.state.tree)):
            self.zab.snapshot(self.state.snapshot())

    def _apply(self, ready: Ready) -> None:
        if ready.restore is not None:
            self.applied = ready.restore.zxid
            self.state.restore(ready.restore.state)
            self.requests.restored(self.state)
        for entry in ready.committed:
            if entry.kind == MARKER:
                self.requests.settle(self.applied, self.zab.stable)
                self.requests.epoch_begins(epoch_of(entry.zxid))
            elif entry.kind == TRANSACTION:
                transaction = self.state.apply(entry.zxid, entry.payload)
                self.requests.applied(entry.zxid, transaction)
            self.applied = entry.zxid

    def _send(self, messages: list[tuple[str, bytes]]) -> None:
        for peer, data in messages:
            self._links.send(peer, LANE, AGREEMENT, data)

    # Time.

    def _deadline(self) -> float:
        return min(self.zab.deadline(), self.requests.deadline() if self.zab.active else float("inf"))

    async def _wake_in_time(self) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            self._rearm = trio.Event()
            self._armed_for = self._deadline()
            with trio.move_on_at(self._armed_for):
                await self._rearm.wait()
            now = trio.current_time()
            if now >= self.zab.deadline():
                self.zab.tick(now)
                self._lives_due = True
            self.turn()

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._rearm.set()
