"""What a node says of itself."""

from types import SimpleNamespace

from broker.cluster import schema
from broker.cluster.tree import Tree
from broker.node.configuration import load
from broker.node.membership import Membership
from broker.node.report import Report
from broker.world.disk import MemoryDisk


def test_the_mode_is_that_of_those_who_have_a_vote_and_not_of_all_members():
    cluster = load(None)
    report = Report(cluster, cluster.node("n1"), Membership(cluster, "n1", MemoryDisk()))
    assert report.status(queues=False)["partition_handling"] == "pause_minority"
    standing = {"role": "leader", "epoch": 1, "has_quorum": True, "waiting_for": "", "view": ("n1", "n2"), "parted": {}}
    report.join(None, SimpleNamespace(tree=Tree(schema.index), voters={"n1": "f1", "n2": "f2"}, **standing))
    assert len(report.status(queues=False)["members"]) == 3
    assert report.status(queues=False)["partition_handling"] == "autoheal"
