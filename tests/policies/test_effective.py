"""Arguments, policy and operator policy become one set of settings (scenario 5 of the mirroring specification)."""

from policies.effective import ARGUMENT, OPERATOR_POLICY, POLICY, Setting, effective
from policies.models import OperatorPolicy, Policy


def policy(**definition):
    return Policy("/", "p", "", {name.replace("_", "-"): value for name, value in definition.items()})


def operator(**definition):
    return OperatorPolicy("/", "o", "", {name.replace("_", "-"): value for name, value in definition.items()})


def test_nothing_given_means_defaults():
    found = effective({}, None, None)
    assert found.definition == {}
    assert not found.is_mirrored
    assert found.value("ha-promote-on-failure") == "always"
    assert found.value("ha-promote-on-shutdown") == "when-synced"
    assert found.value("message-ttl") is None


def test_scenario_05_operator_and_policy_merge():
    found = effective(
        {},
        policy(ha_mode="nodes", ha_params=["n1"], message_ttl=5, max_length=9),
        operator(ha_mode="exactly", ha_params=2, message_ttl=7, expires=60),
    )
    assert found.definition == {"ha-mode": "exactly", "ha-params": 2, "message-ttl": 5, "max-length": 9, "expires": 60}
    assert found.settings["message-ttl"] == Setting(5, POLICY)
    assert found.settings["ha-params"] == Setting(2, OPERATOR_POLICY)
    assert found.settings["expires"] == Setting(60, OPERATOR_POLICY)


def test_equal_values_have_two_sources():
    assert (
        effective({}, policy(expires=5), operator(expires=5)).settings["expires"].source == "policy and operator policy"
    )


def test_scenario_05_numbers_take_the_smaller_of_argument_and_policy():
    found = effective({"x-expires": 9, "x-max-length": 1}, policy(expires=5, max_length=2), operator(max_length=3))
    assert found.settings["expires"] == Setting(5, POLICY)
    assert found.settings["max-length"] == Setting(1, ARGUMENT)
    assert found.definition == {"expires": 5, "max-length": 2}


def test_scenario_05_other_arguments_beat_the_policy():
    found = effective({"x-overflow": "reject-publish"}, policy(overflow="drop-head", dead_letter_exchange="dlx"), None)
    assert found.settings["overflow"] == Setting("reject-publish", ARGUMENT)
    assert found.settings["dead-letter-exchange"] == Setting("dlx", POLICY)


def test_scenario_06_an_invalid_locator_argument_is_passed_over():
    rule = policy(queue_master_locator="min-masters")
    assert effective({"x-queue-master-locator": "random"}, rule, None).value("queue-master-locator") == "random"
    assert effective({"x-queue-master-locator": "nearest"}, rule, None).value("queue-master-locator") == "min-masters"


def test_there_is_no_argument_for_mirroring():
    assert not effective({"x-ha-policy": "all"}, None, None).is_mirrored
