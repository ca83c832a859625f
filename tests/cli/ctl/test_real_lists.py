"""Three processes with real clients on each: every list of `warren ctl`, asked of every node, says what those did."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ConnectionClosedByBroker

pytestmark = pytest.mark.slow

NODES = ("n1", "n2", "n3")
ADDRESSES = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'
RIGHTS = '{"/": [".*", ".*", ".*"], v: [".*", ".*", ".*"]}'
CLUSTER = f"""\
cluster: {{name: lists, cookie: crumbs}}
nodes: [{", ".join(f"{{name: {name}, {ADDRESSES}}}" for name in NODES)}]
vhosts: ["/", v]
users: [{{name: guest, password: guest, tags: [administrator], permissions: {RIGHTS}}}]
policies:
  - {{name: all, vhost: v, pattern: "^mirrored", definition: {{ha-mode: all, ha-sync-mode: automatic}}}}
"""

CONNECTION_COLUMNS = (
    "pid name node user vhost state channels peer_port port timeout protocol auth_mechanism client_properties recv_oct "
    "send_oct"
)
CHANNEL_COLUMNS = (
    "pid connection name number user vhost transactional confirm consumer_count messages_unacknowledged "
    "messages_uncommitted acks_uncommitted messages_unconfirmed prefetch_count global_prefetch_count"
)
QUEUE_COLUMNS = (
    "name durable exclusive arguments policy pid owner_pid exclusive_consumer_pid exclusive_consumer_tag "
    "messages_ready messages_unacknowledged messages messages_persistent message_bytes message_bytes_ready "
    "message_bytes_unacknowledged message_bytes_persistent head_message_timestamp consumers slave_pids "
    "synchronised_slave_pids mirror_pids state type effective_policy_definition"
)


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, int] = {}

    def warren(self, *words: str) -> Done:
        command = [sys.executable, "-m", "broker", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        return Done(done.returncode, done.stdout, done.stderr)

    def ctl(self, *words: str) -> Done:
        return self.warren("ctl", *words)

    def rows(self, node: str, command: str, *words: str) -> list[dict[str, Any]]:
        done = self.ctl("-n", node, "--formatter", "json", command, *words)
        assert (done.code, done.err) == (0, ""), done.err
        found: list[dict[str, Any]] = json.loads(done.out)
        return found

    def connect(self, node: str, **facts: Any) -> pika.BlockingConnection:
        credentials = pika.PlainCredentials("guest", "guest")
        port = self.ports[node]
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, "v", credentials, **facts))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "cluster.yaml").write_text(CLUSTER)
    cluster = Cluster(folder)
    up = cluster.warren("up", "--detach")
    assert up.code == 0, up.out + up.err
    try:
        for node in json.loads(cluster.warren("status", "--json").out)["nodes"]:
            cluster.ports[node["name"]] = int(node["amqp"].rpartition(":")[2])
        yield cluster
    finally:
        cluster.warren("down")


class Client(NamedTuple):
    connection: pika.BlockingConnection
    channels: list[BlockingChannel]
    port: int
    """Its own."""


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> Iterator[dict[str, Client]]:
    """At every node: a connection with two channels, a queue of its own, a mirrored one with a message given out."""
    found = {}
    for node in NODES:
        connection = cluster.connect(node, heartbeat=600, client_properties={"connection_name": f"client of {node}"})
        channels = [connection.channel(), connection.channel()]
        port = connection._impl._transport._sock.getsockname()[1]
        found[node] = Client(connection, channels, port)
        first, second = channels
        first.confirm_delivery()
        first.queue_declare(f"own {node}", exclusive=True)
        first.queue_declare(f"mirrored {node}", durable=True, arguments={"x-max-length": 10})
        first.exchange_declare(
            f"exchange {node}", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"}
        )
        first.queue_bind(f"mirrored {node}", f"exchange {node}", "a.#", arguments={"n": 1})
        properties = pika.BasicProperties(delivery_mode=2, timestamp=1_700_000_000)
        for body in (b"12345", b"678"):
            first.basic_publish("", f"mirrored {node}", body, properties)
        second.basic_qos(prefetch_count=1)
        second.basic_consume(
            f"mirrored {node}", lambda *_: None, consumer_tag=f"at {node}", arguments={"x-priority": 3}
        )
        second.basic_consume(f"own {node}", lambda *_: None, auto_ack=True, exclusive=True, consumer_tag="alone")
    for client in found.values():
        client.connection.process_data_events(0.1)
    assert cluster.warren("wait", "synchronised").code == 0
    yield found
    for client in found.values():
        if client.connection.is_open:
            client.connection.close()


@pytest.mark.parametrize("asked", NODES)
def test_connections_and_channels(cluster: Cluster, clients: dict[str, Client], asked: str) -> None:
    connections = {row["node"]: row for row in cluster.rows(asked, "list_connections", CONNECTION_COLUMNS)}
    pids = {}
    for node, client in clients.items():
        row = connections.pop(f"rabbit@{node}")
        pids[row["pid"]] = client
        assert row["pid"].startswith(f"<{node}.")
        ends = f"127.0.0.1:{client.port} -> 127.0.0.1:{cluster.ports[node]}"
        assert (row["name"], row["peer_port"], row["port"]) == (ends, client.port, cluster.ports[node])
        assert (row["user"], row["vhost"], row["state"], row["channels"]) == ("guest", "v", "running", 2)
        assert (row["timeout"], row["protocol"], row["auth_mechanism"]) == (600, [0, 9, 1], "PLAIN")
        assert ["connection_name", "longstr", f"client of {node}"] in row["client_properties"]
        assert row["recv_oct"] > 500 < row["send_oct"]
    assert not connections
    channels = cluster.rows(asked, "list_channels", CHANNEL_COLUMNS)
    assert len(channels) == 6
    for row in channels:
        client = pids[row["connection"]]
        assert row["name"].endswith(f" ({row['number']})")
        assert str(client.port) in row["name"]
        first = row["number"] == 1
        expected = {"confirm": first, "consumer_count": 0 if first else 2, "messages_unacknowledged": 0 if first else 1}
        expected |= {"prefetch_count": 0 if first else 1, "global_prefetch_count": 0, "transactional": False}
        expected |= dict.fromkeys(("messages_uncommitted", "acks_uncommitted", "messages_unconfirmed"), 0)
        assert row.items() >= {**expected, "user": "guest", "vhost": "v"}.items()


@pytest.mark.parametrize("asked", NODES)
def test_queues(cluster: Cluster, clients: dict[str, Client], asked: str) -> None:
    connections = {row["node"]: row["pid"] for row in cluster.rows(asked, "list_connections", "pid", "node")}
    queues = {row["name"]: row for row in cluster.rows(asked, "list_queues", "-p", "v", QUEUE_COLUMNS)}
    assert len(queues) == 6
    for node in clients:
        row = queues[f"mirrored {node}"]
        others = {name for name in NODES if name != node}
        assert row["pid"].startswith(f"<{node}.")
        for column in "slave_pids", "synchronised_slave_pids", "mirror_pids":
            assert {pid[1:].partition(".")[0] for pid in row[column]} == others
        assert row["arguments"] == [["x-max-length", "signedint", 10]]
        assert (row["durable"], row["exclusive"], row["owner_pid"]) == (True, False, "")
        assert row["effective_policy_definition"] == {"ha-mode": "all", "ha-sync-mode": "automatic"}
        assert (row["policy"], row["state"], row["type"], row["consumers"]) == ("all", "running", "classic", 1)
        assert (row["messages_ready"], row["messages_unacknowledged"], row["messages"]) == (1, 1, 2)
        assert (row["message_bytes"], row["message_bytes_ready"], row["message_bytes_unacknowledged"]) == (8, 3, 5)
        assert (row["messages_persistent"], row["message_bytes_persistent"]) == (2, 8)
        assert row["head_message_timestamp"] == 1_700_000_000
        own = queues[f"own {node}"]
        assert (own["durable"], own["exclusive"], own["slave_pids"]) == (False, True, "")
        assert own["owner_pid"] == connections[f"rabbit@{node}"]
        assert own["exclusive_consumer_tag"] == "alone"
        assert own["exclusive_consumer_pid"].startswith(own["owner_pid"].removesuffix("0>"))


@pytest.mark.parametrize("asked", NODES)
def test_exchanges_bindings_and_consumers(cluster: Cluster, clients: dict[str, Client], asked: str) -> None:
    exchanges = {
        row["name"]: row for row in cluster.rows(asked, "list_exchanges", "-p", "v", "name", "type", "arguments")
    }
    bindings = cluster.rows(asked, "list_bindings", "-p", "v")
    consumers = cluster.rows(asked, "list_consumers", "-p", "v")
    assert (len(exchanges), len(bindings), len(consumers)) == (7 + 3, 6 + 3, 6)
    channels = {row["pid"]: row["number"] for row in cluster.rows(asked, "list_channels", "pid", "number")}
    for node in clients:
        row = exchanges[f"exchange {node}"]
        assert (row["type"], row["arguments"]) == ("topic", [["alternate-exchange", "longstr", "amq.fanout"]])
        (bound,) = [one for one in bindings if one["source_name"] == f"exchange {node}"]
        assert (bound["destination_name"], bound["routing_key"]) == (f"mirrored {node}", "a.#")
        assert bound["arguments"] == [["n", "signedint", 1]]
        (mine,) = [one for one in consumers if one["queue_name"] == f"mirrored {node}"]
        assert channels[mine["channel_pid"]] == 2
        assert (mine["consumer_tag"], mine["ack_required"], mine["prefetch_count"]) == (f"at {node}", True, 1)
        assert (mine["active"], mine["arguments"]) == (True, [["x-priority", "signedint", 3]])
        (alone,) = [one for one in consumers if one["queue_name"] == f"own {node}"]
        assert (alone["consumer_tag"], alone["ack_required"], alone["arguments"]) == ("alone", False, [])


def test_a_connection_is_closed_through_another_node(cluster: Cluster, clients: dict[str, Client]) -> None:
    connection = cluster.connect("n3", client_properties={"connection_name": "one too many"})
    port = connection._impl._transport._sock.getsockname()[1]
    rows = cluster.rows("n1", "list_connections", "pid", "peer_port")
    (pid,) = [row["pid"] for row in rows if row["peer_port"] == port]
    done = cluster.ctl("-n", "n1", "close_connection", pid, "enough of that")
    assert done == (0, f"Closing connection {pid}, reason: enough of that...\n", "")
    with pytest.raises(ConnectionClosedByBroker) as closed:
        connection.process_data_events(5)
    assert (closed.value.reply_code, closed.value.reply_text) == (320, "CONNECTION_FORCED - enough of that")
    assert [row["pid"] for row in cluster.rows("n2", "list_connections", "pid") if row["pid"] == pid] == []


def test_a_queue_is_purged_and_deleted_through_any_node(cluster: Cluster, clients: dict[str, Client]) -> None:
    channel = clients["n1"].channels[0]
    channel.queue_declare("mirrored and unwanted", durable=True)
    for _ in range(3):
        channel.basic_publish("", "mirrored and unwanted", b"x")
    where = ("-p", "v", "mirrored and unwanted")
    assert cluster.ctl("-n", "n2", "delete_queue", "-e", "-q", *where).err == "Error:\nQueue is not empty\n"
    assert cluster.ctl("-n", "n3", "purge_queue", "-q", *where) == (0, "", "")
    assert cluster.ctl("-n", "n1", "sync_queue", "-q", *where) == (0, "", "")
    deleted = "Queue was successfully deleted with 0 ready messages\n"
    assert cluster.ctl("-n", "n2", "delete_queue", "-e", "-u", "-q", *where) == (0, deleted, "")
    assert cluster.ctl("-n", "n1", "purge_queue", "-q", *where) == (69, "", "Error:\nnot_found\n")
