"""Real processes on real files: a disk that fails under load, a backup, and what a newer release has written."""

import http.client
import json
import resource
import shutil
import subprocess
import sys
import time

import pika
import pika.exceptions
import pytest

from tests.clients.conftest import ADDRESSES, cluster, warren

pytestmark = pytest.mark.slow

PATIENCE_S = 20
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def nodes_of(folder):
    return {node["name"]: node for node in json.loads(warren(folder, "status", "--json"))["nodes"]}


class Publisher:
    """Publishes with confirms; `confirmed` is what came of it."""

    def __init__(self, url, queue):
        self.confirmed = []
        self._queue = queue
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.queue_declare(queue, durable=True)
        self._channel.confirm_delivery()

    def publish(self, count):
        for _ in range(count):
            body = b"%d" % len(self.confirmed)
            self._channel.basic_publish("", self._queue, body, PERSISTENT)
            self.confirmed.append(body)

    def close(self):
        if self._connection.is_open:
            self._connection.close()


def drain(url, queue):
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        got = []
        while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
            got.append(message[2])
        return got


def test_a_node_whose_files_cannot_grow_hands_over_says_why_and_comes_back(tmp_path):
    """A limit of the process stands for a disk: nothing else fails on every machine from one moment to the next."""
    with cluster(tmp_path) as urls:
        publisher = Publisher(urls[0], "orders")
        publisher.publish(50)
        warren(tmp_path, "wait", "synchronised", "orders")
        failing = nodes_of(tmp_path)["n1"]
        hard = resource.prlimit(failing["pid"], resource.RLIMIT_FSIZE)[1]
        resource.prlimit(failing["pid"], resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(pika.exceptions.AMQPError):
            publisher.publish(10_000)
        node = until_failed(tmp_path, "n1")
        assert "journal" in node["reason"] or "zab" in node["reason"]
        assert "File too large: mend the disk, then `warren restart n1`" in node["reason"]
        assert f"n1: {node['reason']}" in warren(tmp_path, "status")
        for check in ("alarms", "port-listener/5672", "virtual-hosts"):
            answer = bad_news(node["http"], f"/api/health/checks/{check}")
            assert answer == (503, {"status": "failed", "reason": node["reason"]})
        queue = json.loads(warren(tmp_path, "status", "--json"))["queues"][0]
        assert queue["master"] in {"n2", "n3"}
        assert "(disk)" in warren(tmp_path, "events")
        said = warren(tmp_path, "logs", "n1")
        assert sum("event=failed" in line for line in said.splitlines()) == 1
        warren(tmp_path, "restart", "n1")
        warren(tmp_path, "wait", "ready", "synchronised")
        assert nodes_of(tmp_path)["n1"]["state"] == "running"
        again = f"amqp://guest:guest@{nodes_of(tmp_path)['n1']['amqp']}/"
        got = drain(again, "orders")
        assert got[: len(publisher.confirmed)] == publisher.confirmed


def until_failed(folder, name):
    deadline_s = time.monotonic() + PATIENCE_S
    while (node := nodes_of(folder)[name])["state"] != "failed" or "the others take over" in node["reason"]:
        assert time.monotonic() < deadline_s, node
    return node


def bad_news(address, path):
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except OSError:
            time.sleep(0.1)  # the door is another process's, which refuses for a while: only trying tells when it opens
        finally:
            connection.close()
    raise AssertionError(f"{address} does not answer")


def test_a_stopped_clusters_folders_elsewhere_are_the_same_cluster(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    with cluster(first) as urls:
        publisher = Publisher(urls[0], "orders")
        publisher.publish(50)
        publisher.close()
        warren(first, "ctl", "add_user", "ann", "secret")
        warren(first, "wait", "synchronised", "orders")
    second.mkdir()
    shutil.copytree(first / "data", second / "data")
    with cluster(second) as urls:
        got = drain(urls[2], "orders")
        assert got == publisher.confirmed
        assert "ann" in warren(second, "ctl", "list_users")


def test_a_folder_of_a_newer_release_ends_the_start_with_one_line(tmp_path):
    (tmp_path / "cluster.yaml").write_text(f"nodes: [{{name: n1, {ADDRESSES}}}]\n")
    identity = tmp_path / "data" / "n1" / "identity.json"
    identity.parent.mkdir(parents=True)
    identity.write_text('{"format": 2, "folder": "f", "life": 7}\n')
    done = subprocess.run(
        [sys.executable, "-m", "broker", "node", "n1"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    assert (
        f"event=cannot_run node=n1 why={identity} has format 2, which this release does not know: start" in done.stdout
    )
    assert identity.read_text() == '{"format": 2, "folder": "f", "life": 7}\n'
    up = subprocess.run(
        [sys.executable, "-m", "broker", "up"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert up.returncode == 1
    assert "n1 ended with code 1" in up.stdout + up.stderr
    assert "has format 2" in up.stdout + up.stderr
