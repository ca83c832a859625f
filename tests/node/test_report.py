"""What a node says of itself."""

from types import SimpleNamespace

from broker.cluster import schema
from broker.cluster.tree import Tree
from broker.node.configuration import load
from broker.node.membership import Membership
from broker.node.report import Report
from broker.world.disk import MemoryDisk


def test_mode_and_majority_are_those_of_who_has_a_vote_and_not_of_all_members():
    cluster = load(None)
    report = Report(cluster, cluster.node("n1"), Membership(cluster, "n1", MemoryDisk()))
    alone = report.status(queues=False)
    assert (alone["partition_handling"], alone["majority"]) == ("pause_minority", 2)
    standing = {"role": "leader", "epoch": 1, "has_quorum": True, "waiting_for": "", "view": ("n1", "n2"), "parted": {}}
    report.join(None, SimpleNamespace(tree=Tree(schema.index), voters={"n1": "f1", "n2": "f2"}, **standing))
    assert len(report.status(queues=False)["members"]) == 3
    assert report.status(queues=False)["partition_handling"] == "autoheal"
    voters = {"n1": "f1", "n2": "f2", "n3": "f3", "n4": "f4"}
    report.join(None, SimpleNamespace(tree=Tree(schema.index), voters=voters, **standing))
    assert report.status(queues=False)["majority"] == 3
