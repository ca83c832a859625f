"""What a hall looks after from time to time, because no message would bring it up.

Decides when a mirror has kept silent for too long (DESIGN S11), asks the living mirrors of a queue without synchronised
copy what they hold (S3), closes the publishers' gate while something is full (S8, S11) or, for moments, while a
catch-up would not end (S5), and lets masters go on that had to wait for this node's lease (S4). It must not decide who
is promoted: the tree's procedures do.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import schema
from broker.cluster.records import COMPLETENESS, QueueRecord
from broker.cluster.refusal import Refused
from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from broker.mirroring.follower import Follower
    from broker.vhosts.hall import Hall
    from broker.vhosts.local import Local

log = logging.getLogger("warren.queues")

EVERY_S = 0.1
FORGET_AFTER_S = 5.0
FORGET_AT_ONCE = 100
"""So many queues forget what they had of lives that are over, in one go: there is no hurry, least of all at a death."""
SLICE_S = 0.025
"""Who may publish in a share of the time only waits no longer than this at a time: confirms go on."""

Close = Callable[[str, str], None]
Open = Callable[[str], None]


class Upkeep:
    """The chores of one hall, done every tenth of a second."""

    def __init__(self, hall: "Hall", net_ticktime_s: float, close: Close, open_: Open) -> None:
        """`close(key, reason)` and `open_(key)` move the publishers' gate; a reason is for clients to read."""
        self._hall = hall
        self._net_ticktime_s = net_ticktime_s
        self._close = close
        self._open = open_
        self._closed: set[str] = set()
        self._silent_since: dict[tuple[int, str], tuple[int, float]] = {}
        self._lives: dict[str, tuple[int, bool]] = {}
        self._forget_at = float("inf")
        self._remembering: list[Local] = []
        """Masters that have not been told yet to forget."""

    async def run(self) -> None:
        """Look after everything until cancelled."""
        async with trio.open_nursery() as nursery:
            for chore in (self._look, self._remove_silent_mirrors, self._find_most_complete):
                nursery.start_soon(_repeat, chore)
            nursery.start_soon(self._slow_publishers)

    async def _look(self) -> None:
        """What never has to wait for the cluster."""
        self._watch_gate()
        self._forget_lives()

    # ------------------------------------------------------------------ back-pressure

    def _watch_gate(self) -> None:
        hall = self._hall
        full = hall.pressure.look(hall.peers, hall.followers.concerned())
        for key in self._closed - full.keys():
            self._open(key)
        for key, reason in full.items():
            self._close(key, reason)
        self._closed = set(full)
        self._wake_masters()
        hall.followers.progress()  # an entry that lost the race for a record's version is proposed again

    async def _slow_publishers(self) -> None:
        """Let them publish in their share of the time (S5)."""
        while True:
            share = self._hall.pressure.share
            if share < 1.0:
                self._close("catch-up", "")
                await trio.sleep(SLICE_S * (1.0 - share))
            if share > 0.0:
                self._open("catch-up")
                await trio.sleep(SLICE_S * share if share < 1.0 else EVERY_S)

    def _wake_masters(self) -> None:
        """A master waits for the lease, alone in its set or to give messages out; nothing else says it is back."""
        board = self._hall.switchboard
        if board.lease_missed and self._hall.tree.lease_valid():
            board.lease_missed = False
            board.trust()
            for local in list(self._hall.guests.locals.values()):
                if not local.master.gives or (local.waits and not local.master.witnesses.required()):
                    local.advance()

    # ------------------------------------------------------------------ mirrors

    async def _remove_silent_mirrors(self) -> None:
        now = trio.current_time()
        seen: set[tuple[int, str]] = set()
        for local in self._hall.followers.concerned():
            for node in local.master.witnesses.required():
                key = (local.queue_id, node)
                seen.add(key)
                follower = local.master.witnesses.followers.get(node)
                if not _owes(local, follower):
                    self._silent_since.pop(key, None)
                    continue
                heard = 0 if follower is None else follower.synced_note
                before = self._silent_since.get(key)
                if before is None or before[0] != heard:
                    self._silent_since[key] = (heard, now)
                elif now - before[1] > self._net_ticktime_s:
                    del self._silent_since[key]
                    await self._remove(local, node)
        for key in self._silent_since.keys() - seen:
            del self._silent_since[key]

    async def _remove(self, local: "Local", node: str) -> None:
        handle = self._hall.catalogue.handles.get(local.queue_id)
        if handle is None or handle.local is not local:
            return  # it ended while another mirror was being removed
        record = handle.record
        life = next((life for life in record.in_sync if life.node == node), None)
        if life is None:
            self._hall.followers.start_over(local, node)  # it was only about to enter: nobody has to wait
            return
        log.warning("event=mirror_silent queue=%s node=%s", record.name, node)
        why = f"acknowledged nothing for {self._net_ticktime_s:g} s"
        await self._propose(
            do="leave_in_sync", id=record.id, node=node, life=life.number, version=record.version, why=why
        )

    async def _find_most_complete(self) -> None:
        """The leader's node asks the living mirrors; whoever holds most is promoted (ha-promote-on-failure: always)."""
        tree = self._hall.tree
        if tree.role != "leader":
            return
        for path in tree.tree.find(schema.WAITING_QUEUES):
            record = schema.read(tree.tree, QueueRecord, path)
            if record is None or record.reason != COMPLETENESS:
                continue
            counts: dict[str, int] = {}
            missing: dict[str, int] = {}
            for life in record.mirrors:
                if schema.is_current(tree.tree, life):
                    counts[life.node], missing[life.node] = await held_by(self._hall, record.id, life.node)
            if counts:
                await self._propose(
                    do="promote_most_complete", id=record.id, counts=counts, missing=missing, version=record.version
                )

    def _forget_lives(self) -> None:
        """What queues have taken of a life is remembered until it is over (S6)."""
        hall = self._hall
        members = schema.members(hall.tree.tree)
        lives = {name: (record.life, record.running) for name, record in members.items()}
        if lives != self._lives:
            self._lives = lives
            self._forget_at = trio.current_time() + FORGET_AFTER_S
        if trio.current_time() >= self._forget_at:
            self._forget_at = float("inf")
            self._remembering = list(hall.guests.locals.values())
        due, self._remembering = self._remembering[:FORGET_AT_ONCE], self._remembering[FORGET_AT_ONCE:]
        for local in due:
            if not local.ended:
                local.forget_origins(hall.is_over)

    async def _propose(self, **request: Any) -> None:
        try:
            await self._hall.tree.propose(request)
        except Refused as refused:
            log.info("event=refused request=%s why=%r", request["do"], refused.why)


async def held_by(hall: "Hall", queue_id: int, node: str) -> tuple[int, int]:
    """How many messages of a queue a node's copy holds, and how many it knows to lack; none if it does not answer."""
    if node == hall.life.node:
        return hall.catalogue.held(queue_id)
    try:
        answer, _ = await hall.switchboard.call(node, {"do": "held", "queue": queue_id})
    except PeerLost:
        return 0, 0
    return int(answer["held"]), int(answer["lacking"])


async def _repeat(chore: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again; one that has to wait for the cluster keeps no other waiting."""
    while True:
        await trio.sleep(EVERY_S)
        await chore()


def _owes(local: "Local", follower: "Follower | None") -> bool:
    """Whether a member keeps the master waiting."""
    if follower is None or not follower.joined:
        return bool(local.master.witnesses.waiting)
    return follower.outstanding
