"""Looks on, for one promise (S7): what a client may have seen is not given out again without the flag.

It sees what masters give out, when they do. When it arrives is another matter: a process that stands still between
giving a message and writing it to the wire sends it when another one is master, after that has given it out again. It
must not know why masters change.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import trio

from broker.vhosts.guests import Guest
from broker.vhosts.local import Local
from broker.vhosts.subscription import Subscription
from broker.wire.content import body_of
from broker.wire.message import Run
from tests.simulation.judges import Broken
from tests.simulation.ledger import Ledger


class Gives:
    """What was given out without the flag: (when, queue id, body)."""

    def __init__(self) -> None:
        self._unflagged: list[tuple[float, int, bytes]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See what every master gives to consumers, here and elsewhere, and to those who ask."""
        to_client, to_guest, get = Subscription.deliver, Guest.deliver, Local.get

        def watched_to_client(subscription: Subscription, run: Run) -> None:
            if subscription.handle.local is not None:  # else it was given elsewhere, before
                self._note(subscription.handle.record.id, run)
            to_client(subscription, run)

        def watched_to_guest(guest: Guest, run: Run) -> None:
            self._note(guest.local.queue_id, run)
            to_guest(guest, run)

        def watched_get(local: Local, holder: Any, *, ack_required: bool) -> Run | None:
            run = get(local, holder, ack_required=ack_required)
            if run is not None:
                self._note(local.queue_id, run)
            return run

        with (
            patch.object(Subscription, "deliver", watched_to_client),
            patch.object(Guest, "deliver", watched_to_guest),
            patch.object(Local, "get", watched_get),
        ):
            yield

    def _note(self, queue_id: int, run: Run) -> None:
        if not run.redelivered:
            now = trio.current_time()
            self._unflagged += [(now, queue_id, body_of(content)) for content in run.contents]

    def judge(self, ledger: Ledger, queues: Mapping[int, str]) -> None:
        """`queues`: names by id. Where a message came by way of another queue it may have come twice (S16)."""
        seen: dict[bytes, float] = {}
        for delivery in ledger.deliveries:
            if delivery.direct:
                seen.setdefault(delivery.body, delivery.time)
        for time, queue_id, body in self._unflagged:
            queue = queues.get(queue_id)
            if queue is not None and body.startswith(queue.encode() + b"/") and seen.get(body, time) < time:
                raise Broken(f"repeat: {body!r} was given out again, not flagged, at {time:.4f}")
