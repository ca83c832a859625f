"""Parameters of components, and global ones: what is known, what a name means here, what is refused and how."""

import pytest

from broker.cluster import schema
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import Leader, refused

ROOF = {"pattern": "^x", "priority": 1, "definition": {"max-length": 5}}
CLUSTER_ID = ("internal_cluster_id", "rabbitmq-cluster-id-c1")


@pytest.fixture
def leader():
    return Leader("n1")


def parameter(component, name, value=None, vhost="/"):
    return {"vhost": vhost, "component": component, "name": name, "value": value}


def refused_code(leader, do, **members):
    return refused(leader, do, **members)[0]


def globals_of(leader):
    return [tuple(record) for record in schema.global_parameters(leader.tree)]


def test_limits_of_a_vhost_are_a_parameter(leader):
    leader.ask("put_parameter", **parameter("vhost-limits", "limits", {"max-queues": 7}))
    assert schema.vhost(leader.tree, "/").limits == {"max-queues": 7}
    leader.ask("clear_parameter", **parameter("vhost-limits", "limits"))
    assert schema.vhost(leader.tree, "/").limits == {}


def test_operator_policies_are_parameters(leader):
    leader.ask("put_parameter", **parameter("operator_policy", "roof", ROOF))
    (roof,) = schema.policies(leader.tree, "/", operator=True)
    assert (roof.name, roof.pattern, roof.priority, dict(roof.definition)) == ("roof", "^x", 1, {"max-length": 5})
    assert schema.policies(leader.tree, "/") == []
    leader.ask("clear_parameter", **parameter("operator_policy", "roof"))
    assert schema.policies(leader.tree, "/", operator=True) == []


@pytest.mark.parametrize(
    ("component", "name", "value", "reasons"),
    [
        ("nope", "n", 5, ["component nope not found"]),
        ("vhost-limits", "foo", {"max-quees": 1}, ['Unrecognised terms [{<<"max-quees">>,1}] in foo']),
        ("vhost-limits", "foo", 5, ["foo not a list 5"]),
        ("vhost-limits", "foo", {"max-queues": 1}, ["vhost-limits has no parameter foo: its name is limits"]),
        ("operator_policy", "lim", {**ROOF, "priority": None}, ["priority should be a number, actually was null"]),
        (
            "operator_policy",
            "lim",
            {"pattern": "^x", "definition": {"dead-letter-exchange": "x"}},
            [
                '[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings',
                'Key "priority" not found in lim',
            ],
        ),
    ],
)
def test_what_cannot_be_a_parameter_is_refused_in_rabbitmqs_frame(leader, component, name, value, reasons):
    with pytest.raises(Refused) as caught:
        leader.ask("put_parameter", **parameter(component, name, value))
    assert caught.value.code == "invalid"
    assert caught.value.why == "Validation failed\n\n" + "".join(f"{reason}\n" for reason in reasons)


@pytest.mark.parametrize("do", ["put_parameter", "clear_parameter"])
def test_policies_have_their_own_way(leader, do):
    with pytest.raises(Refused, match=r"policies may not be (set|cleared) using this method"):
        leader.ask(do, **parameter("policy", "p", ROOF))


def test_what_is_not_there_cannot_be_cleared(leader):
    for component, name in (
        ("vhost-limits", "limits"),
        ("vhost-limits", "foo"),
        ("operator_policy", "roof"),
        ("nope", "n"),
    ):
        assert refused_code(leader, "clear_parameter", **parameter(component, name)) == "not_found"
    assert refused_code(leader, "clear_global_parameter", name="x") == "not_found"
    assert refused_code(leader, "clear_global_parameter", name="cluster_name") == "not_found"
    assert refused_code(leader, "put_parameter", **parameter("vhost-limits", "limits", {}, vhost="nope")) == "not_found"


def test_global_parameters_are_any_json_under_any_name(leader):
    assert globals_of(leader) == [CLUSTER_ID]
    for name, value in (("a", {"list": [1, None, "x"]}), ("", 5), ("z/ö", False)):
        assert leader.ask("put_global_parameter", name=name, value=value) == {"changed": True}
    assert globals_of(leader) == [("", 5), ("a", {"list": [1, None, "x"]}), CLUSTER_ID, ("z/ö", False)]
    assert leader.ask("put_global_parameter", name="", value=5) == {"changed": False}
    leader.ask("clear_global_parameter", name="")
    leader.ask("put_global_parameter", name="a", value=0)
    assert globals_of(leader) == [("a", 0), CLUSTER_ID, ("z/ö", False)]


def test_the_name_of_the_cluster_is_one(leader):
    leader.ask("put_global_parameter", name="cluster_name", value="shop")
    assert schema.cluster(leader.tree).title == "shop"
    assert globals_of(leader) == [("cluster_name", "shop"), CLUSTER_ID]
    assert refused_code(leader, "put_global_parameter", name="cluster_name", value=5) == "invalid"
    leader.ask("clear_global_parameter", name="cluster_name")
    assert globals_of(leader) == [CLUSTER_ID]


def test_who_the_cluster_is_stays(leader):
    assert refused_code(leader, "put_global_parameter", name="internal_cluster_id", value="x") == "invalid"
    assert refused_code(leader, "clear_global_parameter", name="internal_cluster_id") == "invalid"
