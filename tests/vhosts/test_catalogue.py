"""Committed records become queues and copies: what each node is to a queue, in a small cluster."""

import pytest
import trio

from broker.metadata.state import State
from broker.mirroring.mirror import Offer
from broker.wire.basic_methods import ConfirmSelect, ConfirmSelectOk
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from broker.wire.properties import Properties
from tests.vhosts.halls import open_cluster


def parts(cluster, queue="q"):
    """What every node is to the queue."""
    return {name: part_of(node, cluster.queue(queue).id) for name, node in cluster.nodes.items()}


def part_of(node, queue_id):
    handle = node.hall.catalogue.handles.get(queue_id)
    if handle is None:
        return "none"
    if handle.local is not None:
        return "master"
    return "mirror" if queue_id in node.hall.mirrors.mirrors else "other"


async def filled(node, count=5, queue="q"):
    client = await node.client()
    await client.ask(1, QueueDeclare(queue=queue, durable=True), QueueDeclareOk)
    await client.ask(1, ConfirmSelect(), ConfirmSelectOk)
    for number in range(count):
        client.connection.publish(1, "", queue, b"%d" % number, Properties(delivery_mode=2))
    await client.confirmed(count)
    return client


async def test_a_queue_without_policy_is_where_it_was_declared(autojump_clock):
    async with open_cluster(3) as cluster:
        await filled(cluster.nodes["n2"])
        assert parts(cluster) == {"n1": "other", "n2": "master", "n3": "other"}


async def test_policies_come_change_and_go_while_the_queue_works(autojump_clock):
    async with open_cluster(3) as cluster:
        client = await filled(cluster.nodes["n1"])
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        assert parts(cluster) == {"n1": "master", "n2": "mirror", "n3": "mirror"}
        await cluster.until_in_sync("q", "n1", "n2", "n3")
        cluster.mirror(**{"ha-mode": "exactly", "ha-params": 2, "ha-sync-mode": "automatic"})
        assert sorted(parts(cluster).values()) == ["master", "mirror", "other"]
        cluster.mirror(**{"ha-mode": "nodes", "ha-params": ["n3"], "ha-sync-mode": "automatic"})
        await cluster.until(lambda: parts(cluster) == {"n1": "other", "n2": "other", "n3": "master"})
        assert cluster.nodes["n3"].handle("q").local.queue.messages_ready == 5
        cluster.decree.decide(do="clear_policy", vhost="/", name="ha")
        assert parts(cluster) == {"n1": "other", "n2": "other", "n3": "master"}
        for number in range(5, 10):
            client.connection.publish(1, "", "q", b"%d" % number, Properties(delivery_mode=2))
        while (await client.listen())[1].last_tag < 10:
            pass
        assert cluster.nodes["n3"].handle("q").local.queue.messages_ready == 10


async def test_settings_change_without_a_new_master(autojump_clock):
    async with open_cluster(1) as cluster:
        await filled(cluster.nodes["n1"])
        local = cluster.nodes["n1"].handle("q").local
        policy = {"vhost": "/", "name": "short", "pattern": ".*", "definition": {"max-length": 2}}
        cluster.decree.decide(do="put_policy", **policy)
        assert cluster.nodes["n1"].handle("q").local is local
        assert local.queue.messages_ready == 2


async def test_a_deleted_queue_is_gone_everywhere_with_its_copies(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.mirror()
        await filled(cluster.nodes["n1"])
        record = cluster.queue("q")
        cluster.decree.decide(do="delete_queue", vhost="/", name="q", id=record.id)
        for node in cluster.nodes.values():
            assert record.id not in node.hall.catalogue.handles
            assert record.id not in node.hall.mirrors.mirrors
            assert node.hall.catalogue.held(record.id) == (0, 0)
            assert node.hall.catalogue.vhosts["/"].find("", "q", {}) == []


async def test_a_name_can_be_declared_again_and_is_another_queue(autojump_clock):
    async with open_cluster(2) as cluster:
        for _ in range(20):
            client = await cluster.nodes["n1"].client()
            await client.ask(1, QueueDeclare(queue="q"), QueueDeclareOk)
            ident = cluster.queue("q").id
            cluster.decree.decide(do="delete_queue", vhost="/", name="q", id=ident)
        assert not cluster.nodes["n1"].hall.catalogue.handles


async def test_a_late_node_takes_in_what_was_there_before_it(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.kill("n2")
        client = await filled(cluster.nodes["n1"])
        cluster.decree.decide(
            do="bind", vhost="/", source="amq.fanout", destination_kind="queue", destination="q", arguments={}
        )
        two = await cluster.start("n2", life=2)
        found = two.hall.catalogue.vhosts["/"].find("amq.fanout", "", {})
        assert [handle.record.name for handle in found] == ["q"]
        await cluster.until(lambda: two.links.is_up("n1", "data"))
        other = await two.client()
        answer = await other.ask(1, QueueDeclare(queue="q", passive=True), QueueDeclareOk)
        assert answer.message_count == 5
        assert client is not other


async def test_a_vhost_goes_with_all_that_is_in_it(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.decree.decide(do="put_vhost", name="orders")
        await cluster.nodes["n1"].hall.declarations.declare_plain("orders", "q")
        assert "q" in cluster.nodes["n2"].hall.catalogue.vhosts["orders"].handles
        cluster.decree.decide(do="delete_vhost", name="orders")
        for node in cluster.nodes.values():
            assert "orders" not in node.hall.catalogue.vhosts
            assert not node.hall.catalogue.handles


@pytest.mark.parametrize("promote", ["always", "when-synced"])
async def test_without_a_synchronised_copy_a_crash_is_decided_by_policy(autojump_clock, promote):
    async with open_cluster(2) as cluster:
        await filled(cluster.nodes["n1"])
        cluster.mirror(**{"ha-promote-on-failure": promote})
        await trio.sleep(1)
        assert [life.node for life in cluster.queue("q").in_sync] == ["n1"]
        cluster.kill("n1")
        record = cluster.queue("q")
        assert (record.state == "unavailable") is (promote == "when-synced")


async def test_a_node_that_was_far_behind_becomes_what_a_snapshot_says(autojump_clock):
    async with open_cluster(2) as cluster:
        client = await filled(cluster.nodes["n1"])
        two, decree = cluster.nodes["n2"], cluster.decree
        other = await two.client()
        await other.ask(1, ConfirmSelect(), ConfirmSelectOk)
        tree = decree.trees.pop("n2")  # from here on it hears nothing
        before = cluster.queue("q")
        decree.decide(do="delete_queue", vhost="/", name="q", id=before.id)
        other.connection.publish(1, "", "q", b"for the one that is gone", Properties())
        await other.flush()
        await client.ask(1, QueueDeclare(queue="q", durable=True), QueueDeclareOk)
        await client.ask(1, QueueDeclare(queue="r", durable=True), QueueDeclareOk)
        declare = {"do": "declare_exchange", "vhost": "/", "name": "x", "kind": "fanout", "durable": True}
        decree.decide(**declare, auto_delete=False, internal=False, arguments={})
        decree.decide(do="put_vhost", name="orders")
        for queue in ("q", "r"):
            bind = {"do": "bind", "vhost": "/", "source": "x", "destination_kind": "queue", "destination": queue}
            decree.decide(**bind, arguments={})
        State(tree).restore(State(decree.decided).snapshot())
        assert sorted(two.hall.catalogue.handles) == sorted(cluster.nodes["n1"].hall.catalogue.handles)
        assert two.handle("q").record.id != before.id
        found = two.hall.catalogue.vhosts["/"].find("x", "", {})
        assert sorted(handle.record.name for handle in found) == ["q", "r"]
        await other.confirmed(1)
        assert "orders" in two.hall.catalogue.vhosts


async def test_who_follows_a_later_master_is_not_master_of_an_earlier_term(autojump_clock):
    async with open_cluster(3) as cluster:
        await filled(cluster.nodes["n1"])
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        await cluster.until_in_sync("q", "n1", "n2", "n3")
        two, queue_id = cluster.nodes["n2"], cluster.queue("q").id
        mirror = two.hall.mirrors.mirrors[queue_id]
        later = Offer(queue_id, 1_000_000, [*mirror.copy.terms.entries, (1_000_000, 6)], 6)
        mirror.receive_offer(later)  # of a master that heard of its promotion before this node did
        cluster.kill("n1")
        assert cluster.queue("q").master.node == "n2"
        assert parts(cluster)["n2"] != "master"
        assert len(mirror.copy.line) == 5
