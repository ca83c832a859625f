"""One policy wins for a name, and always the same one."""

from policies.keys import EXCHANGES, QUEUES
from policies.matching import match
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


def test_apply_to_tells_queues_from_exchanges():
    queues, exchanges = rule("q", apply_to="queues"), rule("x", apply_to="exchanges")
    assert match([queues, exchanges], QUEUES, "a") is queues
    assert match([queues, exchanges], EXCHANGES, "a") is exchanges


def test_no_policy_at_all():
    assert match([], QUEUES, "q") is None
