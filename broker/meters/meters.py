"""Everything that runs up in one node while it works, over all its lives: one place for whoever draws it.

Decides nothing. It must not know who counts, nor who looks: each counter is fed by the room where the thing happens,
once for a run, a batch or an event.
"""

from broker.meters.histogram import Histogram
from broker.meters.traffic import Traffic

AMQP = "amqp091"
HTTP = "http"
PROMOTION_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
"""Upper ends for what a failover takes."""


class Churn:
    """What came and went."""

    __slots__ = ("connections_closed", "connections_opened", "queues_created", "queues_declared", "queues_deleted")

    def __init__(self) -> None:
        self.connections_opened = 0
        self.connections_closed = 0
        self.queues_declared = 0  # by clients of this node, also such as are there already
        self.queues_created = 0  # with their master here
        self.queues_deleted = 0  # with their master here


class Attempts:
    """Of clients to log in."""

    __slots__ = ("accepted", "refused")

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0


class DiskUse:
    """What was written to the logs of a node, and how long that took; each in seconds."""

    __slots__ = ("read_bytes", "read_s", "sync_s", "write_bytes", "write_s")

    def __init__(self) -> None:
        self.write_s = Histogram()
        """Of appends that nobody waits for until they are durable."""
        self.write_bytes = 0
        self.sync_s = Histogram()
        """Until an append, or what was written before, was durable."""
        self.read_s = Histogram()
        self.read_bytes = 0


class Promotions:
    """Queues whose master came to this node from another one."""

    __slots__ = ("by_cause", "missing", "seconds")

    def __init__(self) -> None:
        self.by_cause: dict[str, int] = {}
        self.seconds = Histogram(PROMOTION_SECONDS)
        """From the loss of the old master, as this node saw it."""
        self.missing = 0
        """Messages that were lost by it, as far as anybody knows."""

    def promoted(self, cause: str, seconds: float, missing: int) -> None:
        """One queue."""
        self.by_cause[cause] = self.by_cause.get(cause, 0) + 1
        self.seconds.observe(seconds)
        self.missing += missing


class Meters:
    """One per node."""

    def __init__(self) -> None:
        self.churn = Churn()
        self.logins = {AMQP: Attempts(), HTTP: Attempts()}
        """By protocol."""
        self.traffic = {AMQP: Traffic()}
        """Likewise."""
        self.disk = DiskUse()
        self.promotions = Promotions()
