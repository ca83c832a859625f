"""A cluster of processes that grows from one to five and shrinks to another one while a client publishes and consumes;
and a node that leaves by hand, is refused, and joins again."""

import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import pika
import pytest

from tests.clients.conftest import ADDRESSES, warren

pytestmark = pytest.mark.slow


def write_file(folder: Path, *names: str) -> None:
    nodes = ", ".join(f"{{name: {name}, {ADDRESSES}}}" for name in names)
    (folder / "cluster.yaml").write_text(
        f"cluster: {{name: life, cookie: crumbs}}\nnodes: [{nodes}]\npolicies: [ha-all]\n"
    )


class Load:
    """Publishes with confirms, to whichever node takes it; after a failure it goes on at another one."""

    def __init__(self, folder: Path) -> None:
        self.confirmed: list[int] = []
        self.longest_gap_s = 0.0
        self._run_file = folder / "data" / "run.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def connection(self) -> pika.BlockingConnection:
        deadline = time.monotonic() + 30
        while True:
            nodes = json.loads(self._run_file.read_text())["nodes"].values()
            try:
                return pika.BlockingConnection([self._way_to(*node["amqp"].rpartition(":")) for node in nodes])
            except (pika.exceptions.AMQPError, OSError):
                assert time.monotonic() < deadline, "no node takes a connection"

    @staticmethod
    def _way_to(host: str, _colon: str, port: str) -> pika.ConnectionParameters:
        """Two rounds over all nodes, a moment apart; then others may be there."""
        return pika.ConnectionParameters(host, int(port), heartbeat=30, connection_attempts=2, retry_delay=0.05)

    def _publish(self) -> None:
        number, connection, channel, last = 0, None, None, time.monotonic()
        while not self._stop.is_set():
            number += 1
            try:
                if channel is None:
                    connection = self.connection()
                    channel = connection.channel()
                    channel.queue_declare("load", durable=True)
                    channel.confirm_delivery()
                persistent = pika.BasicProperties(delivery_mode=2)
                channel.basic_publish("", "load", b"%d" % number, persistent, mandatory=True)
            except (pika.exceptions.AMQPError, OSError):
                close(connection)
                channel = None
                continue
            self.confirmed.append(number)
            self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - last)
            last = time.monotonic()
        close(connection)

    def drained(self) -> set[int]:
        connection = self.connection()
        channel = connection.channel()
        found = set()
        while (got := channel.basic_get("load", auto_ack=True))[0] is not None:
            found.add(int(got[2]))
        close(connection)
        return found


def close(connection: pika.BlockingConnection | None) -> None:
    """Also one that the other side has closed: pika leaves its socket open then."""
    if connection is not None:
        with suppress(pika.exceptions.AMQPError, OSError):
            connection.close()
        transport = connection._impl._transport
        if transport is not None:
            transport.abort()


def test_one_becomes_five_becomes_another_one_under_load(tmp_path: Path) -> None:
    write_file(tmp_path, "n1")
    warren(tmp_path, "up", "--detach")
    try:
        with Load(tmp_path) as load:
            for names in (("n1", "n2", "n3"), ("n1", "n2", "n3", "n4", "n5")):
                write_file(tmp_path, *names)
                assert "has joined" in warren(tmp_path, "apply")
            for names in (("n3", "n4", "n5"), ("n5",)):
                write_file(tmp_path, *names)
                assert "was taken out" in warren(tmp_path, "apply", "--prune")
        status = json.loads(warren(tmp_path, "status", "--json"))
        assert (status["members"], [node["name"] for node in status["nodes"]]) == (["n5"], ["n5"])
        assert len(load.confirmed) > 200
        assert set(load.confirmed) <= load.drained()
        assert load.longest_gap_s < 10
    finally:
        warren(tmp_path, "down")


def test_a_node_leaves_by_hand_is_refused_and_joins_again(tmp_path: Path) -> None:
    write_file(tmp_path, "n1", "n2", "n3")

    def ctl(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "broker", "ctl", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    warren(tmp_path, "up", "--detach")
    try:
        warren(tmp_path, "publish", "orders", "hello", "--declare", "--persistent")
        warren(tmp_path, "wait", "synchronised")
        code, text = ctl("forget_cluster_node", "n3")
        assert (code, "must be stopped with 'rabbitmqctl -n n3 stop_app'" in text) == (69, True)
        code, text = ctl("-n", "n3", "reset")
        assert (code, "requires the 'rabbit' app to be stopped on the target node" in text) == (64, True)
        assert ctl("-n", "n3", "stop_app") == (0, "Stopping rabbit application on node rabbit@n3 ...\n")
        assert ctl("forget_cluster_node", "n3") == (0, "Removing node n3 from the cluster\n")
        assert ctl("forget_cluster_node", "n3")[0] == 69
        code, text = ctl("-n", "n3", "start_app")
        assert code == 69
        assert "Node 'n3' thinks it's clustered with node 'n" in text
        assert ctl("-n", "n3", "reset") == (0, "Resetting node rabbit@n3 ...\n")
        assert ctl("-n", "n3", "join_cluster", "n1") == (0, "Clustering node rabbit@n3 with n1\n")
        assert ctl("-n", "n3", "start_app") == (0, "Starting node rabbit@n3 ...\n")
        assert ctl("-q", "await_online_nodes", "3") == (0, "")
        warren(tmp_path, "wait", "ready", "synchronised", "orders")
        assert ctl("set_cluster_name", "shop")[0] == 0
        status = json.loads(ctl("cluster_status", "--formatter", "json")[1])
        assert (status["cluster_name"], sorted(status["running_nodes"])) == (
            "shop",
            ["rabbit@n1", "rabbit@n2", "rabbit@n3"],
        )
        assert warren(tmp_path, "get", "orders") == "hello\n"
    finally:
        warren(tmp_path, "down")
