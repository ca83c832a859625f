"""One node of a cluster of one, with real sockets: what it does before anybody has asked."""

from random import Random

import pytest
import trio
import trio.testing

from broker.management.sampler import Sampler
from broker.node.configuration import load
from broker.node.membership import NAME, Orders, Standing
from broker.node.node import Node, Surroundings
from broker.peers.admin import ask_once
from broker.world.clock import RealClock
from broker.world.disk import MemoryDisk
from broker.world.network import TcpNetwork
from tests.simulation.disk import SimDisk

ALONE = 'nodes: [{name: n1, amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"}]\n'
QUEUE = {"name": "orders", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(ALONE)
    return load(path)


async def ask(node, request):
    cluster = node.cluster
    return await ask_once(
        TcpNetwork(), node.report.link, request, cluster=cluster.name, cookie=cluster.cookie, timeout_s=5
    )


async def until(condition):
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - a node that serves tells only its log
            await trio.sleep(0.005)


async def run_with(cluster, definitions, nursery):
    node = Node(cluster, "n1", Surroundings(TcpNetwork(), MemoryDisk(), RealClock(), Random(1)), {}, definitions)
    nursery.start_soon(node.run)
    await until(lambda: node.report.state == "running" and node.definitions is None)
    return node


async def test_definitions_come_in_once_the_node_serves(cluster, nursery):
    node = await run_with(cluster, {"queues": [QUEUE]}, nursery)
    rows = (await ask(node, {"do": "facts", "kind": "queues", "fields": ["name", "durable"]}))["rows"]
    assert rows == [{"name": "orders", "durable": True}]
    node.stop()


async def test_definitions_that_are_refused_are_told_and_the_node_serves(cluster, nursery):
    node = await run_with(cluster, {"users": [{"name": "ann"}]}, nursery)
    events = (await ask(node, {"do": "events"}))["events"]
    assert [event["text"] for event in events if event["kind"] == "definitions"] == [
        "definitions were not imported: tags_not_present (user ann)"
    ]
    assert (await ask(node, {"do": "status"}))["state"] == "running"
    node.stop()


async def test_a_disk_that_does_not_take_that_an_order_was_obeyed_ends_the_life(cluster, nursery):
    disk = SimDisk(Random(1))
    await Standing(orders=Orders(reset=True)).write(disk)
    disk.fail("write", under=NAME)
    node = Node(cluster, "n1", Surroundings(TcpNetwork(), disk, RealClock(), Random(1)), {})
    nursery.start_soon(node.run)
    await until(lambda: node.report.state == "failed")
    assert node.report.failure == f"sim:{NAME}: Input/output error: mend the disk, then `warren restart n1`"
    node.stop()


class SilentDoor:
    """An HTTP door behind which is nobody."""

    def __init__(self, load, address, tls=None):
        self.address = address

    async def open(self):
        pass

    async def run(self):
        await trio.sleep_forever()

    async def close(self, grace_s):
        pass


@pytest.mark.parametrize("door", [SilentDoor, None])
async def test_a_node_with_an_http_door_looks_at_itself(cluster, nursery, monkeypatch, door):
    looks = []

    async def look(self):
        looks.append(self)

    monkeypatch.setattr(Sampler, "run", look)
    node = Node(cluster, "n1", Surroundings(TcpNetwork(), MemoryDisk(), RealClock(), Random(1), http=door), {})
    nursery.start_soon(node.run)
    await until(lambda: node.report.state == "running")
    await trio.testing.wait_all_tasks_blocked()
    assert bool(looks) is (door is not None)
    node.stop()
