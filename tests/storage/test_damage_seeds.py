"""Bits that rot anywhere in the files of a journal: a start never fails of it, says what is lost, and serves the rest.

What nobody needs may rot in silence: dead messages, and footers, for the records say the same. A rotten last batch
cannot be told from one that was never synced; so only what is cut off there may be lacking without a report.
"""

import os
from random import Random
from typing import Any

import pytest

from broker.storage import journal, recover
from broker.storage.books import POSITION_MAX
from broker.storage.journal import Journal, JournalDamaged
from broker.storage.reading import Gap
from broker.storage.recover import Recovery
from broker.storage.segments import Segment
from tests.simulation.disk import SimDisk
from tests.storage.deaths import SEGMENT_BYTES, Life, QueueState, live_until_death, tell

MORE_SEEDS = int(os.environ.get("WARREN_SEEDS") or 100)

Messages = dict[tuple[int, int], bytes]
"""(queue id, position) -> content."""


async def found_after_damage(disk: SimDisk, suspects: set[int]) -> tuple[Recovery, Messages]:
    """What lives find that begin again as often as one of them meets damage, as those of a node do."""
    while True:
        known = set(suspects)
        life = Journal(disk, segment_bytes=SEGMENT_BYTES, suspects=suspects)
        recovery = await life.recover()
        messages = Messages()
        try:
            for queue_id in recovery.queues:
                for run in await life.load(queue_id, 0, POSITION_MAX):
                    messages |= {(queue_id, at): content for at, content in enumerate(run.contents, run.first)}
        except JournalDamaged:
            assert suspects != known, "what was read in full is not suspected again"
            continue
        return recovery, messages


def segments_of(recovery: Recovery) -> dict[tuple[int, int], str]:
    """In which file each living message lies."""
    return {
        (queue_id, at): stretch.segment.name
        for queue_id, account in recovery.books.accounts.items()
        for stretch in account.holdings
        for at in range(stretch.first, stretch.last + 1)
    }


async def rot(seed: int) -> None:
    """A life, some bits, and what is found afterwards."""
    chance = Random(seed)
    disk = SimDisk(chance)
    life = Life(chance, disk, {1: QueueState(), 2: QueueState(), 3: QueueState()}, 0)
    assert await live_until_death(life, disk, chance.randint(20, 120), None)
    sound, before = await found_after_damage(disk, set())
    homes, names = segments_of(sound), sorted(name for name in disk.sizes() if name.startswith("journal/"))
    harmed = {chance.choice(names) for _ in range(chance.choice((1, 1, 2)))}
    for name in harmed:
        for _ in range(chance.choice((1, 1, 1, 5))):
            disk.damage(name, chance.randrange(disk.sizes()[name]))
    suspects: set[int] = set()
    recovery, messages = await found_after_damage(disk, suspects)
    for (queue_id, at), content in messages.items():
        assert content.startswith(b"%d/" % queue_id), "no message of another life or queue"
        assert content.endswith(b"/%d" % at), "nor one that had another place"
    assert messages.items() >= {key: before[key] for key in before if homes[key] not in harmed}.items()
    if not recovery.damages and names[-1] not in harmed:
        assert messages == before, "nothing is lost unless somebody says so"
    for damage in recovery.damages:  # that a file went may have stood where the damage is
        assert damage.path.removeprefix("sim:") in harmed or damage.why == "the file is missing"
    again, same = await found_after_damage(disk, suspects)
    assert same == messages
    assert bool(again.damages) == bool(recovery.damages), "it counts until what is left was written again"


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_lost_in_silence(seed):
    tell(rot, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1000 + MORE_SEEDS))
def test_nor_by_more_seeds(seed):
    tell(rot, seed)


def keep_damage_to_oneself(patch: pytest.MonkeyPatch) -> None:
    """Whoever believes that nothing is lost counts as a copy that has everything."""

    async def in_silence(replay: Any, segment: Segment, data: bytes, gap: Gap) -> None:
        segment.damaged = True

    patch.setattr(recover._Replay, "_set_aside", in_silence)


def forget_suspects(patch: pytest.MonkeyPatch) -> None:
    """What could not be read is read in full in the next life."""
    patch.setattr(journal, "recover", lambda disk, suspects: recover.recover(disk))


@pytest.mark.parametrize("break_rule", [keep_damage_to_oneself, forget_suspects], ids=lambda rule: rule.__name__)
def test_a_broken_rule_is_seen(break_rule, monkeypatch):
    break_rule(monkeypatch)
    assert any(is_seen(seed) for seed in range(30))


def is_seen(seed: int) -> bool:
    seen = False
    try:
        tell(rot, seed)
    except* AssertionError:
        seen = True
    return seen
