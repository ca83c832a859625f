"""One channel of the server's side: deliveries out, answers in, confirms, prefetch, transactions.

Decides delivery tags and publish numbers, which deliveries an answer means, and when a publish may be confirmed. It
must not know queues, exchanges or sockets: bytes go to the connection's outbox, sources of deliveries are handed back
as they came. The rules:

1. Delivery tags are shared by deliveries and gets and go up by one, also for messages nobody has to acknowledge.
2. Once the channel is closing nothing but channel.close and channel.close-ok goes in or out.
3. A channel confirms, or is transactional, or neither; never both.
"""

from functools import partial
from typing import Protocol

from broker.amqp.confirms import ConfirmLine, Pending
from broker.amqp.errors import ChannelException
from broker.amqp.patience import Patience
from broker.amqp.transactions import Transaction
from broker.amqp.unacked import Settled, Source, Unacked, UnackedRun
from broker.meters.traffic import Flow, Traffic
from broker.wire.basic_methods import BasicCancel, BasicGetOk, BasicQos, BasicReturn
from broker.wire.content import rechannel, reframe
from broker.wire.deliveries import deliver_frame, deliveries
from broker.wire.message import Run, split_address

_FRAMES_MEMO_MAX = 256


class Starved(Protocol):
    """Someone who had something to send and no room; `wake` tells that there is room again."""

    def wake(self) -> None: ...


class Outlet(Protocol):
    """The connection, as far as a channel knows it."""

    frame_max: int
    outbox_bytes: int
    heard_at: float
    confirmed: list[tuple[float, int]]
    starved: set[Starved]
    capabilities: frozenset[str]

    def send(self, data: bytes | bytearray) -> None: ...

    def confirm_soon(self, channel: "Channel") -> None: ...


class Channel:
    """One open channel. `state` is "open", "closing" (waits for close-ok) or "closed"."""

    def __init__(self, number: int, outlet: Outlet, traffic: Traffic | None = None) -> None:
        """`traffic`: where it is counted."""
        self.number = number
        self.flow = Flow()
        self.state = "open"
        self.last_queue = ""
        """The name the client last declared a queue under: what an empty queue name means."""
        self.prefetch_count_new_consumers = 0
        self.prefetch_count_global = 0
        """At most so many `outstanding` deliveries on the whole channel; 0 = no limit."""
        self.outstanding = 0
        """What its consumers got and nobody has settled. Gets do not count, an answer does when it is committed."""
        self.consumer_tags: set[str] = set()
        """The tags in use on this channel."""
        self.starved: dict[Starved, None] = {}
        """Consumers that found no room because of `prefetch_count_global`, who waits longest first."""
        self.transaction: Transaction | None = None
        self.outlet = outlet
        self._unacked = Unacked()
        self._patience = Patience()
        self._next_tag = 1
        self._frames: dict[tuple[bytes, bytes, bool], tuple[bytes, bytes]] = {}
        self._confirms: ConfirmLine | None = None
        self._commit: ConfirmLine | None = None
        self._held_cancels: list[str] | None = None
        self._traffic = Traffic() if traffic is None else traffic
        self._traffic.opened(self)

    # Deliveries

    def deliver(self, consumer_tag: bytes, run: Run, source: Source | None) -> None:
        """Put the run into the outbox as deliveries to a consumer; it is remembered unless `source` is None."""
        if self.state != "open":
            return
        key = consumer_tag, run.address, run.redelivered
        frames = self._frames.get(key)
        if frames is None:
            if len(self._frames) >= _FRAMES_MEMO_MAX:
                self._frames.clear()
            frames = self._frames[key] = deliver_frame(self.number, *key)
        contents = run.contents
        tag = self._take_tags(len(contents), run, source)
        self.outlet.send(deliveries(*frames, tag, contents, self.number, self.outlet.frame_max))

    def deliver_got(self, run: Run, source: Source | None, message_count: int) -> None:
        """Put the one message of the run into the outbox as the answer to basic.get."""
        if self.state != "open":
            return
        exchange, routing_key = split_address(run.address)
        tag = self._take_tags(1, run, source)
        answer = BasicGetOk(tag, run.redelivered, exchange, routing_key, message_count)
        content = rechannel(reframe(run.contents[0], self.outlet.frame_max), self.number)
        self.outlet.send(answer.frame(self.number) + content)

    def returned(self, code: int, text: str, payload: bytes, contents: list[bytes]) -> None:
        """Send publishes back to the publisher; `payload` is the publish method's."""
        exchange, routing_key = split_address(payload[2:-1])
        frame = BasicReturn(code, text, exchange, routing_key).frame(self.number)
        self.outlet.send(b"".join(frame + rechannel(content, self.number) for content in contents))

    def cancel_consumer(self, tag: str) -> None:
        """A consumer has ended without the client's doing: tell it, if it can hear it."""
        self.consumer_tags.discard(tag)
        if self._held_cancels is not None:
            self._held_cancels.append(tag)
        elif self.state == "open" and "consumer_cancel_notify" in self.outlet.capabilities:
            self.outlet.send(BasicCancel(tag, nowait=True).frame(self.number))

    def hold_cancels(self) -> None:
        """The client is about to delete a queue: its answer comes before the cancels that follow from it."""
        self._held_cancels = []

    def release_cancels(self) -> None:
        """The answer is out: tell of the consumers that have ended meanwhile."""
        held, self._held_cancels = self._held_cancels or [], None
        for tag in held:
            self.cancel_consumer(tag)

    def _take_tags(self, count: int, run: Run, source: Source | None) -> int:
        tag = self._next_tag
        self._next_tag += count
        if source is not None:
            self._unacked.add(UnackedRun(tag, tag + count - 1, source, run.first))
        return tag

    # Answers to deliveries

    @property
    def unacked_count(self) -> int:
        """Deliveries without an answer."""
        return self._unacked.count

    def held_by(self, source: Source) -> list[tuple[int, int]]:
        """The positions (first, last) of deliveries from this source without an answer."""
        return self._unacked.held_by(source)

    def is_overdue(self, now: float, timeout_s: float) -> bool:
        """Whether a delivery has been without an answer for too long; asked now and then."""
        return self._patience.is_over(now, timeout_s, self._unacked.oldest_tag, self._next_tag)

    def acknowledge(self, tag: int, last_tag: int, multiple: bool, verdict: str = "settle") -> list[Settled]:
        """Deliveries tag to last_tag, or all up to last_tag if `multiple` (0 = all), are answered for.

        Returns what the queues must be told now: nothing if the channel is transactional. Without `multiple` the
        answer may end before last_tag, where the next tag is not known. Raises ChannelException (406) if the first
        one is not known. `verdict` is "settle", "requeue" or "reject".
        """
        runs = self._unacked.take(tag, last_tag, multiple)
        if self.transaction is not None:
            self.transaction.answer(verdict, runs)
            return []
        return [run.settled for run in runs]

    def recover_all(self) -> list[Settled]:
        """Forget all deliveries without an answer: they are to be delivered again."""
        return [run.settled for run in self._unacked.take_all()]

    def prefetch(self, method: BasicQos) -> None:
        """basic.qos as RabbitMQ means it: `global` limits the channel, else it is for consumers yet to come.

        A limit for new consumers lifts the one of the channel. The caller wakes the starved.
        """
        if method.is_global:
            self.prefetch_count_global = method.prefetch_count
        else:
            self.prefetch_count_new_consumers = method.prefetch_count
            self.prefetch_count_global = 0

    def wake_starved(self) -> None:
        """Wake those who waited for `prefetch_count_global` as long as there is room: who gets some waits anew."""
        for one in tuple(self.starved):
            if 0 < self.prefetch_count_global <= self.outstanding:
                return
            del self.starved[one]
            one.wake()

    # Confirms

    @property
    def confirming(self) -> bool:
        """Whether the client has chosen confirms."""
        return self._confirms is not None

    @property
    def unconfirmed_count(self) -> int:
        """Publishes that wait for a confirm."""
        return self._confirms.unconfirmed if self._confirms else 0

    def select_confirms(self) -> None:
        """confirm.select. Raises ChannelException (406) on a transactional channel."""
        if self.transaction is not None:
            raise ChannelException(406, "cannot switch from tx to confirm mode")
        if self._confirms is None:
            self._confirms = ConfirmLine(
                self.number, partial(self.outlet.confirm_soon, self), self.flow, self.outlet.confirmed
            )

    def open_pending(self, count: int, since: float | None = None) -> Pending | None:
        """Number `count` publishes, which came just now if not before; None if nobody has asked for confirms. The
        caller sets `missing`."""
        if self._confirms is not None:
            self.flow.received_confirm += count
            return self._confirms.open(count, self.outlet.heard_at if since is None else since)
        return None if self._commit is None else self._commit.open(count)

    def flush(self) -> None:
        """Put the confirms that are due into the outbox: called once at the end of a turn."""
        if self._confirms is not None and self.state == "open" and (frames := self._confirms.take_frames()):
            self.outlet.send(frames)

    # Transactions

    def select_transactions(self) -> None:
        """tx.select. Raises ChannelException (406) on a channel that confirms."""
        if self._confirms is not None:
            raise ChannelException(406, "cannot switch from confirm to tx mode")
        if self.transaction is None:
            self.transaction = Transaction()

    def rollback(self) -> None:
        """Forget the publishes of the transaction; its answered deliveries are unanswered again."""
        self._unacked.restore(self._take_transaction().answered)

    def begin_commit(self, line: ConfirmLine) -> Transaction:
        """Hand out the transaction, to be carried out; its publishes will be answered to `line`."""
        transaction = self._take_transaction()
        self._commit = line
        return transaction

    def end_commit(self) -> None:
        """The transaction has been carried out."""
        self._commit = None

    def _take_transaction(self) -> Transaction:
        """Raises ChannelException (406) if the channel is not transactional."""
        if self.transaction is None:
            raise ChannelException(406, "channel is not transactional")
        taken, self.transaction = self.transaction, Transaction()
        return taken

    # End

    def close(self, *, closing: bool = False) -> None:
        """Nothing goes out any more; queues that answer later answer nobody. What was unacknowledged stays listed."""
        self.state = "closing" if closing else "closed"
        self.starved.clear()
        for line in (self._confirms, self._commit):
            if line is not None:
                line.close()
        self.retire()

    def retire(self) -> None:
        """It counts no longer among those that are open, however it ended."""
        self._traffic.closed(self)
