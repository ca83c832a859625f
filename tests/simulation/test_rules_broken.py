"""Safety rules broken on purpose: a judge says so within some seeds. A check that cannot fail is worth nothing.

Each rule comes with the faults under which breaking it hurts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from broker.cluster import succession
from broker.cluster.records import QueueRecord
from broker.cluster.succession import Situation
from broker.mirroring.copy import Copy
from broker.mirroring.master import Master, Note
from broker.mirroring.mirror import Mirror, Offer, Statement
from broker.mirroring.witnesses import Witnesses
from broker.queues.delayed import Delays
from broker.queues.departures import Departures
from broker.queues.returns import Returns
from broker.storage.books import Books
from broker.vhosts import dead_letters, releases
from broker.vhosts.dead_letters import Attempt
from broker.vhosts.declarations import Declarations
from broker.vhosts.handle import Handle
from broker.vhosts.local import Local
from broker.vhosts.mirrors import Mirrors
from broker.vhosts.remote import Remote
from broker.vhosts.replies import Replies
from broker.vhosts.subscription import Subscription
from broker.wire import records
from broker.wire.message import Run
from broker.world.descriptors import Chunk
from tests.simulation import disk
from tests.simulation.course import Plan, brief
from tests.simulation.disk import SimAppendFile
from tests.simulation.faults import UNSYNCED
from tests.simulation.scarcity import little_memory
from tests.simulation.strokes import PAIR
from tests.simulation.verdicts import Evidence, is_seen

Breaking = Callable[[pytest.MonkeyPatch], None]


def confirm_before_mirrors_answered(patch: pytest.MonkeyPatch) -> None:
    """S1."""
    patch.setattr(Witnesses, "required", lambda witnesses: set())


def promote_a_copy_out_of_sync(patch: pytest.MonkeyPatch) -> None:
    """S3: the youngest mirror that lives is promoted, whatever it holds."""
    succeed = succession._succeed

    def careless(record: QueueRecord, situation: Situation, before: QueueRecord) -> QueueRecord | None:
        for life in reversed(record.mirrors):
            if situation.lives.goes_on(life):
                return succession.promote(record, life, record.in_sync, situation.zxid)
        return succeed(record, situation, before)

    patch.setattr(succession, "_succeed", careless)


def acknowledge_before_the_journal_is_synced(patch: pytest.MonkeyPatch) -> None:
    """S1: on disk there, after fsync. With a slow disk, which makes the gap wide."""
    store = Mirrors._store

    def hasty(mirrors: Mirrors, mirror: Mirror) -> int:
        store(mirrors, mirror)
        return 0

    patch.setattr(Mirrors, "_store", hasty)
    patch.setattr(disk, "DELAY_S_MAX", 0.1)


def confirm_before_the_own_journal_is_synced(patch: pytest.MonkeyPatch) -> None:
    """S1, of masters and mirrors: to have written it is taken for enough."""

    def hasty(master: Master, note: Note, lsn: int) -> None:
        master.witnesses.wait(note.number, 0, False, note.effect)

    patch.setattr(Master, "shipped", hasty)
    patch.setattr(disk, "DELAY_S_MAX", 0.02)


def keep_every_segment(patch: pytest.MonkeyPatch) -> None:
    """Space: what nobody needs goes."""
    little_memory(patch)
    patch.setattr(Books, "ready_to_go", lambda books: [])


def go_on_after_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    """S8: as if the next sync would do what this one did not."""
    append = SimAppendFile.append

    async def shrug(file: SimAppendFile, chunks: Sequence[Chunk], *, sync: bool) -> None:
        try:
            await append(file, chunks, sync=sync)
        except OSError:
            if file.size_bytes != len(file._content.seen):
                raise

    patch.setattr(SimAppendFile, "append", shrug)


def accept_lower_terms(patch: pytest.MonkeyPatch) -> None:
    """S4: whoever speaks is followed; also a sleeper, who takes publications as if he had a lease."""
    patch.setattr(Declarations, "is_current", lambda declarations: True)
    receive_offer, apply = Mirror.receive_offer, Mirror.apply

    def obey(mirror: Mirror, offer: Offer) -> tuple[Statement, list[Run]]:
        mirror.copy.promised = 0
        return receive_offer(mirror, offer)

    def do_it(mirror: Mirror, record: records.QueueRecord, raw: bytes) -> bool:
        mirror.term = record.term
        return apply(mirror, record, raw)

    patch.setattr(Mirror, "receive_offer", obey)
    patch.setattr(Mirror, "apply", do_it)


def deliver_without_announcing(patch: pytest.MonkeyPatch) -> None:
    """S7: the mark is moved and nobody is told."""

    def keep_it(master: Master, level: int, upto: int) -> None:
        master.copy.marks[level] = upto
        master._opening.discard(level)
        master._open(level, upto)
        master.queue.pump()

    patch.setattr(Master, "_announce", keep_it)


def give_out_without_a_lease(patch: pytest.MonkeyPatch) -> None:
    """S4, sleeper: a thawed master serves the consumers that waited at its door."""
    patch.setattr(Local, "_heed_lease", lambda local: None)


# ---------------------------------------------------------------------- of quorum queues, letters, delays and limits


def forget_on_mirrors_what_came_back(patch: pytest.MonkeyPatch) -> None:
    """Quorum queues: how often a message came back is a record like others."""
    apply = Mirror.apply

    def forget(mirror: Mirror, record: records.QueueRecord, raw: bytes) -> bool:
        return isinstance(record, records.Returned) or apply(mirror, record, raw)

    patch.setattr(Mirror, "apply", forget)


def give_out_beyond_the_limit(patch: pytest.MonkeyPatch) -> None:
    """Quorum queues: who came back too often dies."""
    count = Returns.count
    patch.setattr(Returns, "count", lambda returns, runs, limit: count(returns, runs, None))


class Careless(Attempt):
    """S16, turned round: the source forgets when it has sent."""

    def __init__(self, targets: list[Handle], done: Callable[[], None]) -> None:
        super().__init__([], done)


def forget_letters_before_they_arrive(patch: pytest.MonkeyPatch) -> None:
    """S16."""
    patch.setattr(dead_letters, "Attempt", Careless)


def give_letters_up_while_a_target_is_away(patch: pytest.MonkeyPatch) -> None:
    """S16: a letter waits for its target."""
    patch.setattr(dead_letters, "lack_a_master", lambda targets: False)


def forget_delayed_messages_before_they_arrive(patch: pytest.MonkeyPatch) -> None:
    """S16, for what an exchange held back."""
    patch.setattr(releases, "Attempt", Careless)


def release_at_a_promotion(patch: pytest.MonkeyPatch) -> None:
    """Delayed messages: a new master counts from when they were taken, and does not give them up."""
    begin = Master.__init__

    def hasty(master: Master, copy: Copy, *rest: Any, **how: Any) -> None:
        begin(master, copy, *rest, **how)
        delays = master.queue._expiry
        if isinstance(delays, Delays):
            delays._heap = [(0, first, last) for _, first, last in delays._heap]

    patch.setattr(Master, "__init__", hasty)


def keep_refusals_to_oneself(patch: pytest.MonkeyPatch) -> None:
    """S6: a refusal is a record; a successor would take what came later for a sign that this was let in."""

    def note_nothing(master: Master, origin: str, first: int, last: int) -> int:
        return master.note

    patch.setattr(Master, "_note_refused", note_nothing)


def call_every_death_a_rejection(patch: pytest.MonkeyPatch) -> None:
    """A dead letter says why it died."""
    bury = Departures.bury
    patch.setattr(Departures, "bury", lambda self, run, reason, settings: bury(self, run, "rejected", settings))


def answer_whoever_is_there(patch: pytest.MonkeyPatch) -> None:
    """Direct reply-to: an address is that of one channel."""

    def shout(replies: Replies, address: str, run: Run) -> None:
        for consumer in list(replies._by_address.values()):
            consumer.channel.deliver(consumer.tag_bytes, run, None)

    patch.setattr(Replies, "_deliver", shout)


def grant_ahead_under_a_limit(patch: pytest.MonkeyPatch) -> None:
    """Prefetch of a channel: a master elsewhere is lent room, and what it is lent is nobody else's."""
    patch.setattr(Subscription, "is_limited", False)


def lend_to_a_master_that_is_gone(patch: pytest.MonkeyPatch) -> None:
    """Prefetch of a channel: what a dead master was lent comes back."""
    patch.setattr(Remote, "end", lambda remote: None)


CASES: list[Any] = [
    (confirm_before_mirrors_answered, "lost", brief(["mirrors asleep, kill master"]), 0),
    (promote_a_copy_out_of_sync, "lost", brief(["return, kill master"]), 5),
    (
        acknowledge_before_the_journal_is_synced,
        "lost",
        brief(["power of all, back without master"], steps=2, publishers=2),
        5,
    ),
    pytest.param(
        confirm_before_the_own_journal_is_synced,
        "lost",
        brief(["power of all, back without master"]),
        0,
        marks=pytest.mark.slow,
    ),
    pytest.param(
        keep_every_segment, "space", brief(["kill master"], publishers=2, consumers=2), 0, marks=pytest.mark.slow
    ),
    pytest.param(
        go_on_after_a_failed_sync,
        "lost",
        brief([UNSYNCED], steps=2),
        0,
        marks=pytest.mark.slow,
    ),
    (
        accept_lower_terms,
        "copies|lost|repeat|twins",
        brief(["freeze master, kill heir, thaw"], steps=2, publishers=3),
        1,
    ),
    (deliver_without_announcing, "repeat", brief(["kill master"]), 0),
    pytest.param(
        give_out_without_a_lease,
        "repeat",
        brief(["freeze, kill another, thaw"], consumers=4),
        9,
        marks=pytest.mark.slow,
    ),
    (forget_on_mirrors_what_came_back, "count|copies", brief(["kill master"], kinds=["quorum"]), 2),
    (promote_a_copy_out_of_sync, "promotion", brief(["return, kill master"], kinds=["quorum"]), 4),
    (give_out_beyond_the_limit, "count", brief(["kill master"], kinds=["quorum"]), 2),
    (forget_letters_before_they_arrive, "lost", brief(["half cut off, kill master"], kinds=["letters"]), 3),
    (give_letters_up_while_a_target_is_away, "lost", brief(["kill"], kinds=["letters"]), 2),
    (
        forget_delayed_messages_before_they_arrive,
        "lost",
        brief(["half cut off, kill master"], kinds=["delayed"] * 3),
        0,
    ),
    (release_at_a_promotion, "early", brief(["kill master"], kinds=["delayed"]), 1),
    (
        keep_refusals_to_oneself,
        "lost",
        brief(["half cut off, kill master"], kinds=["full"] * 4, publishers=3, policy=PAIR),
        1,
    ),
    (answer_whoever_is_there, "stray", brief(["kill"], kinds=["calls"], publishers=6), 0),
    (grant_ahead_under_a_limit, "prefetch", brief(["kill"], kinds=["full"], publishers=3), 0),
    pytest.param(
        lend_to_a_master_that_is_gone,
        "not drained",
        brief(["cut off master"], kinds=["full"] * 4, steps=1),
        1,
        marks=pytest.mark.slow,
    ),
    (call_every_death_a_rejection, "death", brief(["kill master"], kinds=["letters"]), 0),
]


@pytest.mark.parametrize(
    ("break_rule", "verdict", "plan", "first_seed"), CASES, ids=lambda value: value.__name__ if callable(value) else ""
)
def test_a_judge_sees_it(
    break_rule: Breaking, verdict: str, plan: Plan, first_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_rule(monkeypatch)
    assert is_seen(Evidence(verdict, plan, first_seed))
