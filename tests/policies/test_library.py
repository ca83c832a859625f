"""Every ready-made policy is sound, and called what its file is called."""

import pytest

from policies.library import ready_made, ready_made_names
from policies.validation import checked


@pytest.mark.parametrize("name", ready_made_names())
def test_a_ready_made_policy_is_valid_and_named_after_its_file(name):
    assert checked(ready_made(name)).name == name


def test_ha_all_is_what_the_documentation_says():
    found = checked(ready_made("ha-all"))
    assert found.definition == {
        "ha-mode": "all", "ha-sync-mode": "automatic", "ha-promote-on-failure": "when-synced",
    }  # fmt: skip
    assert (found.pattern, found.apply_to) == (".*", "queues")


def test_an_unknown_name():
    with pytest.raises(KeyError):
        ready_made("../keys")
