"""Every rule that keeps confirmed messages safe is broken on purpose, and a judge says so within 200 seeds.

The rows are those of the design's safety analysis: first its models, then its findings by number. What is broken stands
here, in `test_rules_broken` (marked R) or, for the machine of agreement, in `tests/cluster`: `test_zab_rules` (Z) and
`test_zab_view_rules` (V); the journal's rules are broken in `tests/storage/test_rules_broken` (J).

* model 1, an entry counts from its proposal: `count_an_entry_only_when_it_is_applied`.
* model 1, a restarted node loses its place: `let_who_restarts_keep_its_place`.
* model 1, a restarted master gets a new term: `let_a_restarted_master_keep_its_term`.
* model 1, a record's change names its version: no seed shows it: who would change a record late is cut off, and its
  links are closed when it is declared dead. `procedures/test_copies` holds it, `test_safety` there plays any order.
* model 1, acknowledgements name lives: `believe_acknowledgements_of_another_stream`.
* model 1, proposed entries name lives: `let_a_new_life_enter_for_the_old_one`.
* model 1, a proposed entry is not forgotten: `forget_a_proposed_entry_when_its_mirror_goes`.
* model 1, a replica refuses older terms by itself: R `accept_lower_terms`.
* model 1, acknowledgements name the term: a follower belongs to one master and one stream: there is no code to break;
  the model found nothing either.
* model 2, the last view decides who starts alone; a sleeper asks, and counts as restarted: V, and
  `test_modes_broken` for whole clusters of two.
* 1, 2, 3, as in model 1; unique terms of two sides: as there; V for epochs of two sides.
* 4, truncation by the list of terms: `skip_truncation`, R `accept_lower_terms`; what one journal does with it: J.
* 5, a cold start waits for who was in sync: `promote_what_is_there_after_a_cold_start`.
* 6, a quorum, or all of a view: `commit_without_a_quorum`, Z `a_minority_that_decides`, V; what of a history may be
  given up: V, which a judge sees in seeds of views that nobody is left to remember.
* 7, who lost its memory has no vote: Z `a_lost_memory_that_votes`; `test_backup` for an older folder.
* 8, alone in sync only with a lease; promotions wait for its end: `take_a_lease_for_granted`, R
  `give_out_without_a_lease`, Z `ending_lives_without_regard_to_their_leases`; what is set aside: `test_set_aside`,
  `test_recovered`.
* 9, in sync is who holds all that lives: `fill_only_what_is_above`, `keep_what_the_master_lacks`.
* 9, nothing irreversible ahead of the copies: what a copy let go too early it is sent again when it returns, so that no
  seed shows it; `tests/storage/test_space` and J hold it.
* 10, nothing twice, refusals are records, settles are kept: `forget_who_published_what`, R
  `keep_refusals_to_oneself`; `test_settles`.
* 11, declared means everywhere: `answer_a_declaration_when_it_is_applied_here`.
* 12, links are always read; who does not acknowledge is removed: about progress under load, not about a rule that can
  be left out: `test_silence`, `tests/peers/test_links_under_faults`.
* 13, what a refused connection proves: simulated hosts that live never refuse: `tests/cluster/test_detector`,
  `tests/peers`.
* 14, how long a failover takes: a figure: `test_promptness`.
* 15, delivery is announced ahead, by level: R `deliver_without_announcing`, `let_mirrors_forget_marks`.
* 16, a dead letter is settled when it has arrived, repeats are dropped: R `forget_letters_before_they_arrive`, R
  `give_letters_up_while_a_target_is_away`; `test_repeats`.
* 17, the journal: J, R `keep_every_segment`.
* 18, a failed sync ends the life: R `go_on_after_a_failed_sync`; reserved room: `tests/storage/test_reserve`.
* 19, catch-up ends and buffers nothing: a bound, not a rule that loses: `tests/mirroring/test_catch_up`; seeds with
  scarce catch-up.
* 20, promises that contradict each other: settled by how the acceptance scenarios are read.
* 21, what must vanish does: scenarios 21 and 29, visitors' exclusive queues; `procedures/test_lives`.

The last four break promises to clients that the analysis takes for granted.
"""

import re
from typing import Any

import pytest

from tests.simulation import breaches
from tests.simulation.breaches import Breaking
from tests.simulation.course import Plan, brief
from tests.simulation.strokes import BREAKS, ENTRIES, MOVES, PAIR
from tests.simulation.verdicts import Evidence, is_seen, said_of

ALWAYS = {"ha-promote-on-failure": "always"}


def entering(how: str) -> Plan:
    """What befalls the only mirror, and then its master, while its entry is on a long way."""
    return brief([fault for fault in ENTRIES if how in fault], steps=2, policy=PAIR)


def alone(what: str) -> Plan:
    """What befalls a master that alone holds everything, while others would be taken as well."""
    return brief([f"mirrors return, {what}"], policy=ALWAYS, steps=1, scarcities=["pace"], publishers=2)


ROWS: dict[Breaking, Evidence] = {
    breaches.count_an_entry_only_when_it_is_applied: Evidence("lost|repeat", entering("unheard"), 1),
    breaches.forget_a_proposed_entry_when_its_mirror_goes: Evidence("lost|copies", entering("breaks"), 1),
    breaches.let_who_restarts_keep_its_place: Evidence(
        "lost|copies",
        brief(["quick restart, kill master"], persistent=False, steps=1, publishers=2, scarcities=["catch-up"]),
    ),
    breaches.let_a_restarted_master_keep_its_term: Evidence("does not follow", brief(["all at once"], steps=2), 1),
    breaches.let_a_new_life_enter_for_the_old_one: Evidence(
        "lost|copies",
        brief([MOVES], steps=1, policy=PAIR, publishers=4, persistent=False, scarcities=["catch-up"]),
        1,
    ),
    breaches.believe_acknowledgements_of_another_stream: Evidence(
        "lost|copies", brief([BREAKS], steps=2, publishers=2)
    ),
    breaches.skip_truncation: Evidence(
        "copies|not in the journal",
        brief(["freeze master, kill heir, thaw", "freeze master", "cut off master"]),
        5,
    ),
    breaches.promote_what_is_there_after_a_cold_start: Evidence("lost", alone("power of all, back without master")),
    breaches.take_a_lease_for_granted: Evidence("lease", alone("freeze master")),
    breaches.commit_without_a_quorum: Evidence(
        "lease|common with the leader", brief(["cut off", "cut off master"], steps=2)
    ),
    breaches.fill_only_what_is_above: Evidence(
        "lost|copies",
        brief(["freeze master, kill heir, thaw"], persistent=False, steps=2, publishers=2, kinds=["plain"] * 4),
        1,
    ),
    breaches.keep_what_the_master_lacks: Evidence("copies", brief(["return, kill master", "cut off"])),
    breaches.forget_who_published_what: Evidence("twins", brief([BREAKS], steps=2, publishers=2, consumers=0)),
    breaches.let_mirrors_forget_marks: Evidence("repeat", brief(["kill master"])),
    breaches.answer_a_declaration_when_it_is_applied_here: Evidence(
        "declared", brief(["slow link"], kinds=["plain"], visitors=3, steps=2)
    ),
    breaches.give_to_every_consumer: Evidence("single", brief(["kill master"], kinds=["single"], consumers=3, steps=2)),
    breaches.follow_silently: Evidence("cancel", brief(["kill master"], kinds=["told"], consumers=2, steps=2)),
    breaches.carry_out_what_was_taken_back: Evidence(
        "transaction", brief(["kill master"], kinds=["transactions"], steps=2)
    ),
}
OFTEN = (breaches.skip_truncation, breaches.commit_without_a_quorum)
"""Broken in the default run, too."""


def rows() -> list[Any]:
    return [
        pytest.param(breach, marks=() if breach in OFTEN else pytest.mark.slow, id=breach.__name__) for breach in ROWS
    ]


@pytest.mark.parametrize("breach", rows())
def test_a_judge_sees_it(breach: Breaking, monkeypatch: pytest.MonkeyPatch) -> None:
    breach(monkeypatch)
    assert is_seen(ROWS[breach])


@pytest.mark.slow
@pytest.mark.parametrize("breach", ROWS, ids=lambda breach: breach.__name__)
def test_unbroken_it_says_nothing(breach: Breaking) -> None:
    """What is seen is the breach, and not something else that the plan brings."""
    evidence = ROWS[breach]
    assert not re.search(evidence.verdict, said_of(evidence.first_seed, evidence.plan))
