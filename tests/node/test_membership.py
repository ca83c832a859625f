"""Whom a node takes for members: the file's nodes once, then those that were committed, wherever they listen now."""

from random import Random

import pytest
import trio

from broker.cluster import schema
from broker.cluster.operations import Create
from broker.cluster.records import MemberRecord, encode
from broker.cluster.tree import Tree
from broker.node.configuration import load
from broker.node.membership import NAME, NO_ORDERS, Membership, Orders, Standing
from broker.peers.introduction import Identity
from broker.world.disk import RealDisk
from tests.node.slow_disk import SlowDisk
from tests.simulation.disk import SimDisk

FILE = 'nodes: [{name: n1, link: "127.0.0.1:1"}, {name: n2, link: "127.0.0.1:2"}, {name: n3, link: "127.0.0.1:3"}]\n'


@pytest.fixture
def disk(tmp_path):
    return RealDisk(tmp_path / "n1")


@pytest.fixture
def membership(tmp_path, disk):
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    return Membership(load(path), "n1", disk)


async def test_the_file_seeds_the_members_once(membership, disk):
    await membership.load()
    assert (membership.names, membership.is_committed) == (["n1", "n2", "n3"], False)
    await Standing({"n1": "127.0.0.1:9", "n4": "host4:4"}).write(disk)
    await membership.load()
    assert (membership.names, membership.is_committed) == (["n1", "n4"], True)


async def test_the_file_says_where_its_nodes_listen_now_the_cluster_where_the_others_do(membership, disk):
    await Standing({"n1": "127.0.0.1:9", "n2": "127.0.0.1:8", "n4": "host4:4"}).write(disk)
    await membership.load()
    assert membership.addresses == {"n1": "127.0.0.1:1", "n2": "127.0.0.1:2", "n4": "host4:4"}
    assert membership.known_address("n3") == "127.0.0.1:3", "no member, but the file knows it"
    voters = {"n1": "a", "n2": "b", "n5": "c"}
    assert membership.peers(voters) == {"n2": "127.0.0.1:2", "n4": "host4:4", "n5": ""}


async def test_orders_and_members_are_written_in_one_step_and_kept_until_they_are_obeyed(membership, disk):
    await membership.load()
    await membership.order(Orders(force_boot=True, forget=("n2", "n3")), {"n1": "127.0.0.1:1"})
    again = await Standing.read(disk)
    assert again == Standing({"n1": "127.0.0.1:1"}, Orders(force_boot=True, forget=("n2", "n3")))
    await membership.obeyed()
    assert (await Standing.read(disk)).orders == NO_ORDERS
    assert (await Standing.read(disk)).members == {"n1": "127.0.0.1:1"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"members": {}}', b"\xff"])
async def test_a_file_that_cannot_be_read_counts_as_none(disk, content):
    await disk.replace(NAME, content)
    assert await Standing.read(disk) == Standing()


async def test_a_stranger_is_only_disagreed_with_by_a_node_that_knows(membership):
    stranger = Identity("n9", 1, "folder")
    assert membership.objection(stranger, False) == "n9 is not known here as a member"
    assert membership.objection(stranger, True) is None


class Cluster:
    """What a node sees of its cluster: the tree, and no links."""

    names = ()

    def __init__(self, *members):
        self.tree = Tree(schema.index)
        records = [MemberRecord(name, link="127.0.0.1:7") for name in members]
        paths = [("/members", b""), *((schema.member_path(record.name), encode(record)) for record in records)]
        self.tree.apply(1, [Create(path, data, 1) for path, data in paths])

    def watch(self, prefix, callback): ...

    def on_quorum(self, callback):
        callback(True)

    def add_peer(self, name, address): ...


@pytest.fixture
def slow(tmp_path):
    """A membership whose disk takes longest for the second write, and what is on that disk."""
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    disk = SimDisk(Random(1))
    return Membership(load(path), "n1", SlowDisk(disk, 0, 2, 1)), disk


async def test_an_order_that_was_obeyed_does_not_come_back_with_members_that_changed_meanwhile(slow, autojump_clock):
    membership, disk = slow
    await membership.order(Orders(force_boot=True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(membership.keep)
        membership.follow(Cluster("n1", "n2"), Cluster())
        await trio.sleep(0.5)
        await membership.obeyed()
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert await Standing.read(disk) == Standing({"n1": "127.0.0.1:7", "n2": "127.0.0.1:7"}, NO_ORDERS)


async def test_an_order_does_not_count_as_obeyed_as_long_as_the_disk_does_not_take_that(slow, autojump_clock):
    membership, disk = slow
    await membership.order(Orders(reset=True))
    disk.fail("write")
    with pytest.raises(OSError, match="rror"):
        await membership.obeyed()


async def test_an_order_that_could_not_be_written_down_is_none(slow, autojump_clock):
    membership, disk = slow
    disk.fail("write")
    with pytest.raises(OSError, match="rror"):
        await membership.order(Orders(reset=True), {"n1": "127.0.0.1:1"})
    assert membership.standing == Standing()
