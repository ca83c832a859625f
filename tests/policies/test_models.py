"""Policies keep RabbitMQ's field names and defaults."""

from policies.models import OperatorPolicy, Policy


def test_defaults_are_rabbitmqs():
    policy = Policy.from_json({"name": "p", "pattern": "", "definition": {"expires": 1}})
    assert (policy.vhost, policy.apply_to, policy.priority) == ("/", "all", 0)


def test_json_and_back():
    policy = OperatorPolicy("/", "p", "^a", {"expires": 1}, "queues", 3)
    assert OperatorPolicy.from_json(policy.as_json()) == policy
