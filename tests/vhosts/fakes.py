"""A node's services without tasks: what is sent is kept, the journal syncs when it is told to."""

from broker.vhosts.transit import Transit
from broker.wire import queue_frames as frames


class FakeJournal:
    keeps = False

    def __init__(self):
        self.appended = 0
        self.synced = 0
        self.freed = []

    def append(self, raw, record):
        self.appended += len(raw)
        return self.appended

    def settled(self, queue_id, ranges):
        self.freed.append((queue_id, ranges))

    def holds(self, queue_id):
        return False

    def unreleased(self, queue_id):
        return []

    def sync(self):
        self.synced = self.appended


class FakeLinks:
    """Every node is reachable unless it is in `down`; each lane's stream begins at `begin`."""

    def __init__(self, begin=0):
        self.begin = begin
        self.offsets = {}
        self.down = set()
        self.handlers = {}
        self.sent = []

    def handle(self, kind, handler):
        self.handlers[kind] = handler

    def offset(self, peer, lane):
        return self.offsets.get(peer, self.begin)

    def send(self, peer, lane, kind, payload):
        if peer in self.down:
            return -1
        self.sent.append((peer, kind, payload))
        self.offsets[peer] = self.offset(peer, lane) + len(payload)
        return self.offsets[peer]


class FakeSwitchboard:
    """See `broker.vhosts.switchboard.Switchboard`; `touched` is flushed by `end_turn`."""

    def __init__(self, node="n1", begin=0):
        self.node = node
        self.life = 1
        self.origin = f"{node}/1"
        self.stamp_ms = 1_000_000
        self.steady_ms = 0
        self.journal = FakeJournal()
        self.links = FakeLinks(begin)
        self.touched = {}
        self.handlers = {}
        self.lease = True
        self.lease_missed = False
        self.transit = Transit()
        self.unanswered = {}
        self.congested = {}
        self._numbers = 0

    def number(self):
        self._numbers += 1
        return self._numbers

    def lease_valid(self):
        return self.lease

    async def leased(self):
        assert self.lease

    def touch(self, flushed):
        self.touched[flushed] = None

    def end_turn(self):
        while self.touched:
            touched, self.touched = self.touched, {}
            for one in touched:
                one.flush()

    def store(self, raw, record):
        return self.journal.append(raw, record)

    def advance_at(self, lsn, waiting):
        """Nobody is told: a test that lets the journal sync lets its master advance."""

    def send(self, peer, kind, payload):
        return self.links.send(peer, "data", kind, payload)

    def is_congested(self, peer, waiter):
        if peer in self.congested:
            self.congested[peer].add(waiter)
        return peer in self.congested

    def answer(self, what, handler):
        self.handlers[what] = handler

    def hear(self, peer, kind, payload, offset=0):
        """A frame comes from a peer."""
        self.links.handlers[kind](peer, payload, offset)

    def take(self, kind, peer=None):
        """Payloads of this kind sent since the last call, to this peer or any."""
        sent = self.links.sent
        self.links.sent = [one for one in sent if one[1] != kind or peer not in (None, one[0])]
        return [payload for to, what, payload in sent if what == kind and peer in (None, to)]

    def take_json(self, kind, peer=None):
        return [frames.decode_json(payload) for payload in self.take(kind, peer)]


class FakeTimers:
    def watch(self, local):
        """Nothing here has a deadline."""

    def forget(self, local):
        """Nothing was noted."""


class FakePending:
    """A publisher that waits; `answers` counts the queues, `refused` what they did not take."""

    def __init__(self, missing=1):
        self.missing = missing
        self.answers = 0
        self.refused = []

    def answer(self):
        self.answers += 1
        self.missing -= 1

    def refuse(self, start, stop):
        self.refused.append((start, stop))


class FakeTarget:
    """A queue that answers when it is told to."""

    def __init__(self, name="t", state="running"):
        self.record = self
        self.name = name
        self.state = state
        self.got = []

    def publish(self, run, pending):
        self.got.append((run, pending))


class FakeSource:
    """A queue whose dead letters go out; it notes which may be forgotten, and which wait on."""

    def __init__(self):
        self.switchboard = FakeSwitchboard()
        self.forgotten = []
        self.kept = []

    def pass_on(self, run):
        return [run]

    def forget_dead(self, first, last):
        self.forgotten.append((first, last))

    def keep_dead(self, dead):
        self.kept.append((dead.run.first, dead.run.last, dead.run.address))
