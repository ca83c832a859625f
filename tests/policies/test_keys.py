"""The key table: each row is complete, and the merges of mirroring.md section 2.3 hold."""

import pytest

from policies.keys import EXCHANGES, KEYS


def test_an_operator_may_set_only_the_keys_that_rabbitmq_lets_him():
    assert {name for name, key in KEYS.items() if key.operator} == {
        "expires", "message-ttl", "max-length", "max-length-bytes", "ha-mode", "ha-params", "ha-sync-mode",
        "delivery-limit", "max-in-memory-length", "max-in-memory-bytes", "queue-version",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "policy", "operator", "merged"),
    [
        ("expires", 5, 7, 5),
        ("message-ttl", 7, 5, 5),
        ("max-length", 1, 2, 1),
        ("max-length-bytes", 2, 1, 1),
        ("delivery-limit", 2, 1, 1),
        ("max-in-memory-length", 2, 1, 1),
        ("max-in-memory-bytes", 1, 2, 1),
        ("queue-version", 2, 1, 1),
        ("queue-version", 1, 2, 2),
        ("ha-sync-mode", "automatic", "manual", "manual"),
        ("ha-mode", "nodes", "nodes", "nodes"),
        ("ha-mode", "exactly", "all", "all"),
        ("ha-mode", "nodes", "exactly", "exactly"),
        ("ha-mode", "all", "exactly", "all"),
        ("ha-mode", "exactly", "nodes", "exactly"),
        ("ha-params", 2, 3, 3),
        ("ha-params", 3, ["n1"], 3),
        ("ha-params", ["n1"], 2, 2),
        ("ha-params", ["n1", "n2"], ["n3"], ["n1", "n2"]),
        ("ha-params", ["n1"], ["n3"], ["n3"]),
        ("ha-params", ["n1"], ["n2", "n3"], ["n2", "n3"]),
    ],
)
def test_policy_and_operator_policy_merge(key, policy, operator, merged):
    assert KEYS[key].merge(policy, operator) == merged


@pytest.mark.parametrize("name", KEYS)
def test_a_row_accepts_its_own_default_and_refuses_with_the_value(name):
    key = KEYS[name]
    assert key.default is None or key.accepts(key.default)
    assert "{}" in key.refusal
    assert not key.accepts({"a": "map"})
    assert key.argument in (None, name if key.applies_to == EXCHANGES else f"x-{name}")
