"""One policy wins for a name, and always the same one."""

import pytest

from policies.keys import EXCHANGES, QUEUES
from policies.matching import match, ranked
from policies.models import Policy


def rule(name, pattern="", priority=0, apply_to="all"):
    return Policy("/", name, pattern, {"expires": 1}, apply_to, priority)


def test_the_pattern_is_searched_anywhere_in_the_name():
    middle = rule("p", "rder")
    assert match([middle], QUEUES, "orders") is middle
    assert match([rule("p", "^rder")], QUEUES, "orders") is None


def test_an_empty_pattern_matches_all():
    everything = rule("p")
    assert match([everything], QUEUES, "") is everything


def test_the_highest_priority_wins_and_equal_ones_go_by_name():
    low, high, twin = rule("a", priority=1), rule("c", priority=2), rule("b", priority=2)
    assert match([low, high, twin], QUEUES, "q") is twin
    assert match([twin, high, low], QUEUES, "q") is twin


def test_all_that_match_come_in_the_order_in_which_they_win():
    rules = [rule("a", priority=1), rule("c", priority=2), rule("b", priority=2), rule("x", "^z", 9)]
    assert [one.name for one in ranked(rules, QUEUES, "q")] == ["b", "c", "a"]


def test_apply_to_tells_queues_from_exchanges():
    queues, exchanges = rule("q", apply_to="queues"), rule("x", apply_to="exchanges")
    assert match([queues, exchanges], QUEUES, "a") is queues
    assert match([queues, exchanges], EXCHANGES, "a") is exchanges


@pytest.mark.parametrize(
    ("definition", "types"),
    [
        ({"ha-mode": "all"}, "classic"),
        ({"ha-mode": "all", "ha-sync-mode": "automatic", "ha-promote-on-failure": "always"}, "classic"),
        ({"max-length": 5}, "classic quorum"),
        ({"max-length": 5, "ha-mode": "all"}, "classic"),
        ({"delivery-limit": 5}, "quorum"),
        ({"delivery-limit": 5, "max-length": 4}, "quorum"),
        ({"queue-mode": "lazy", "max-length": 4}, "classic"),
        ({"queue-version": 2, "max-length": 4}, "classic quorum"),
        ({"message-ttl": 5000}, "classic quorum"),
        ({"overflow": "drop-head"}, "classic quorum"),
        ({"max-in-memory-length": 3}, "classic quorum"),
        ({"queue-master-locator": "random"}, "classic"),
        ({"queue-leader-locator": "random"}, "quorum"),
        ({"dead-letter-strategy": "at-least-once"}, "quorum"),
        ({"alternate-exchange": "x"}, "classic quorum"),
        ({"expires": 100000}, "classic quorum"),
        ({"dead-letter-exchange": "x", "dead-letter-routing-key": "y"}, "classic quorum"),
        ({"max-length-bytes": 500}, "classic quorum"),
    ],
)
def test_for_which_types_a_policy_counts(definition, types):
    """As RabbitMQ 3.10.8 says it of queues of each type under these policies."""
    policy = Policy("/", "p", "", definition)
    assert [kind for kind in ("classic", "quorum") if match([policy], QUEUES, "q", kind)] == types.split()


def test_a_policy_that_does_not_count_leaves_room_for_another():
    strong, weak = Policy("/", "s", "", {"ha-mode": "all"}, "all", 5), Policy("/", "w", "", {"max-length": 5})
    assert match([strong, weak], QUEUES, "q", "classic") is strong
    assert match([strong, weak], QUEUES, "q", "quorum") is weak
    assert match([strong, weak], EXCHANGES, "x") is strong


def test_no_policy_at_all():
    assert match([], QUEUES, "q") is None
