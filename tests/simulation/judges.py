"""Judges of the simulated cluster: each looks on, for one promise, and says `Broken` with what it saw.

They must not know why anything happens: what clients saw, what was committed, and what stands in the copies.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from broker.metadata.state import State, Transaction
from broker.queues.line import ranges_of
from tests.simulation.freezing import PROCESS
from tests.simulation.workload import Ledger
from tests.simulation.world import World

if TYPE_CHECKING:
    from broker.wire.message import Run


class Broken(AssertionError):
    """A promise is broken; the text names it."""


# ---------------------------------------------------------------------- what clients saw


def judge_loss(ledger: Ledger) -> None:
    """S1: what was confirmed is delivered in the end."""
    lost = sorted(ledger.confirmed - ledger.seen.keys())
    if lost:
        raise Broken(f"lost: {len(lost)} confirmed messages, {lost[:5]}")
    invented = sorted(ledger.seen.keys() - ledger.published)
    if invented:
        raise Broken(f"invented: {invented[:5]}")


def judge_repeats(ledger: Ledger) -> None:
    """S7: whoever sees a message that may have been seen before is told so."""
    seen: set[bytes] = set()
    for delivery in ledger.deliveries:
        if delivery.body in seen and not delivery.redelivered:
            raise Broken(f"repeat: {delivery.body!r} came again, not flagged, to {delivery.consumer}")
        seen.add(delivery.body)


def judge_order(ledger: Ledger) -> None:
    """What one producer published in order, one consumer gets in order, redeliveries apart."""
    newest: dict[tuple[str, bytes], int] = {}
    for delivery in ledger.deliveries:
        if delivery.redelivered:
            continue
        producer, _, number = delivery.body.rpartition(b":")
        key = (delivery.consumer, producer)
        if int(number) <= newest.get(key, 0):
            raise Broken(f"order: {delivery.body!r} came to {delivery.consumer} after number {newest[key]}")
        newest[key] = int(number)


# ---------------------------------------------------------------------- what was committed


class Histories:
    """S3, ZAB B9: nodes apply the same transactions in the same order; a term has one master."""

    def __init__(self) -> None:
        self._payloads: dict[int, bytes] = {}
        self._stretches: list[tuple[str, list[int]]] = []
        """Per process: transactions that it applied one after the other, without a snapshot between."""
        self._current: dict[State, list[int]] = {}
        self._masters: dict[tuple[int, int], tuple[str, int]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See every transaction that any node applies."""
        apply, restore = State.apply, State.restore

        def watched_apply(state: State, zxid: int, payload: bytes) -> Transaction:
            self._take(state, zxid, payload)
            return apply(state, zxid, payload)

        def watched_restore(state: State, snapshot: bytes) -> None:
            self._current.pop(state, None)
            restore(state, snapshot)

        with patch.object(State, "apply", watched_apply), patch.object(State, "restore", watched_restore):
            yield

    def _take(self, state: State, zxid: int, payload: bytes) -> None:
        process = PROCESS.get()
        if self._payloads.setdefault(zxid, payload) != payload:
            raise Broken(f"history: {process} applied another transaction {zxid:#x} than others")
        if state not in self._current:
            self._current[state] = []
            self._stretches.append((process, self._current[state]))
        applied = self._current[state]
        if applied and applied[-1] >= zxid:
            raise Broken(f"history: {process} applied {zxid:#x} after {applied[-1]:#x}")
        applied.append(zxid)

    def judge_prefixes(self) -> None:
        """Nobody left out a transaction between two others."""
        everything = sorted(self._payloads)
        for process, applied in self._stretches:
            expected = everything[bisect_left(everything, applied[0]) : bisect_right(everything, applied[-1])]
            if applied != expected:
                left_out = sorted(set(expected) - set(applied))
                raise Broken(f"history: {process} left out {[hex(zxid) for zxid in left_out[:5]]}")

    def look_at_masters(self, world: World) -> None:
        """Note who serves which term now."""
        for name in world.serving():
            hall = world.hall(name)
            assert hall is not None
            for queue_id, local in hall.guests.locals.items():
                life = (name, hall.life.number)
                if self._masters.setdefault((queue_id, local.master.term), life) != life:
                    others = self._masters[queue_id, local.master.term]
                    raise Broken(f"masters: {life} and {others} serve term {local.master.term:#x} of {queue_id:#x}")


# ---------------------------------------------------------------------- what stands in the copies


def judge_copies(world: World) -> None:
    """S2, S5: when all is quiet, whoever counts as synchronised holds what the master holds, byte for byte."""
    for record in world.queues():
        local = world.master(record)
        if local is None:
            raise Broken(f"copies: {record.name} has no master")
        wanted = _contents(local.queue.living())
        for life in record.in_sync:
            hall = world.hall(life.node)
            if life == record.master or hall is None:
                continue
            mirror = hall.mirrors.mirrors.get(record.id)
            if mirror is None:
                raise Broken(f"copies: {life} is in sync and has no copy of {record.name}")
            held = _contents(mirror.copy.line.runs())
            if held != wanted:
                missing, surplus = sorted(wanted.keys() - held.keys()), sorted(held.keys() - wanted.keys())
                raise Broken(
                    f"copies: {life} lacks {missing[:5]} of {record.name}, has {surplus[:5]} too many, "
                    f"{sum(held[p] != wanted[p] for p in held.keys() & wanted.keys())} differ"
                )


def _contents(runs: "Iterator[Run]") -> dict[int, bytes]:
    return {position: content for run in runs for position, content in enumerate(run.contents, run.first)}


def ranges_held(world: World, queue: str, node: str) -> list[tuple[int, int]]:
    """The living positions in a node's copy of a queue, master or mirror."""
    record, hall = world.queue(queue), world.hall(node)
    assert hall is not None
    local = hall.guests.locals.get(record.id)
    if local is not None:
        return local.queue.living_ranges()
    mirror = hall.mirrors.mirrors.get(record.id)
    return [] if mirror is None else ranges_of(mirror.copy.line.runs())
