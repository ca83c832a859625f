"""A node that runs short of memory: pika at another node is told, waits, and goes on."""

import json
import time

import pika
import pytest

from tests.clients.conftest import ADDRESSES, warren

pytestmark = pytest.mark.slow

CLUSTER = f"""\
cluster: {{name: short, cookie: crumbs}}
nodes: [{{name: n1, {ADDRESSES}}}, {{name: n2, {ADDRESSES}}}, {{name: n3, {ADDRESSES}}}]
data: memory
"""
PATIENCE_S = 10


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    warren(tmp_path, "up", "--detach")
    yield tmp_path
    warren(tmp_path, "down")


def nodes_of(folder):
    return {node["name"]: node for node in json.loads(warren(folder, "status", "--json"))["nodes"]}


def connect(node):
    return pika.BlockingConnection(pika.URLParameters(f"amqp://guest:guest@{node['amqp']}/"))


def until(condition, connection):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        connection.process_data_events(0.05)


def test_publishers_of_other_nodes_wait_and_consumers_go_on(folder):
    nodes = nodes_of(folder)
    with connect(nodes["n2"]) as ours, connect(nodes["n3"]) as theirs:
        words, got = [], []
        ours.add_on_connection_blocked_callback(lambda _, frame: words.append(frame.method.reason))
        ours.add_on_connection_unblocked_callback(lambda _, frame: words.append("over"))
        publishing, consuming = ours.channel(), theirs.channel()
        publishing.queue_declare("short")
        consuming.basic_consume("short", lambda *delivered: got.append(delivered[3]), auto_ack=True)
        warren(folder, "ctl", "-n", "n1", "set_vm_memory_high_watermark", "absolute", "1")
        assert nodes_of(folder)["n1"]["alarms"] == ["memory"]
        assert "n1: low on memory" in warren(folder, "status")
        sent = []
        while not words:  # some go through before this node has heard of it
            sent.append(b"%d" % len(sent))
            publishing.basic_publish("", "short", sent[-1])
            ours.process_data_events(0.05)
        publishing.basic_publish("", "short", b"waits")
        until(lambda: got == sent[:-1], theirs)  # the one that was told of it waits, too
        assert words == ["low on memory"]
        warren(folder, "ctl", "-n", "n1", "set_vm_memory_high_watermark", "0.4")
        until(lambda: words == ["low on memory", "over"], ours)
        until(lambda: got == [*sent, b"waits"], theirs)
        assert nodes_of(folder)["n1"]["alarms"] == []
