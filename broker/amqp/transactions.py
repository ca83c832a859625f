"""What a transactional channel keeps back until commit or rollback (AMQP 0-9-1 section 1.9, class tx).

Decides what belongs to the transaction. It must not carry anything out: the session takes the publishes and answers
of a commit and does them in order.
"""

from broker.amqp.errors import ChannelException
from broker.amqp.unacked import UnackedRun
from broker.wire.events import Publish

TRANSACTION_BYTES_MAX = 256 * 1024 * 1024


class Transaction:
    """Publishes and answers since the last commit or rollback, in order.

    An answer is (verdict, deliveries), where the verdict is "settle", "requeue" or "reject".
    """

    __slots__ = ("_bytes", "answers", "publishes")

    def __init__(self) -> None:
        self.publishes: list[Publish] = []
        self.answers: list[tuple[str, list[UnackedRun]]] = []
        self._bytes = 0

    def publish(self, event: Publish) -> None:
        """Keep a run of publishes. Raises ChannelException (406) if the transaction becomes too large."""
        self._bytes += sum(map(len, event.contents))
        if self._bytes > TRANSACTION_BYTES_MAX:
            raise ChannelException(406, f"transaction is larger than max size {TRANSACTION_BYTES_MAX}")
        self.publishes.append(event)

    def answer(self, verdict: str, runs: list[UnackedRun]) -> None:
        """Keep an answer to deliveries."""
        self.answers.append((verdict, runs))

    @property
    def publish_count(self) -> int:
        """How many messages it would publish."""
        return sum(len(event.contents) for event in self.publishes)

    @property
    def answered(self) -> list[UnackedRun]:
        """All deliveries that were answered, whatever the verdict."""
        return [run for _, runs in self.answers for run in runs]
