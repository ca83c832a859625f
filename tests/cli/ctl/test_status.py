"""One node, looked at closely: by a real hall behind a call, and the end of its log."""

import json

import pytest

from tests.cli.ctl.fake_members import FakeMembers
from tests.cli.ctl.fake_node import FakeNode
from tests.cli.ctl.station import open_ctl


@pytest.fixture
def node(monkeypatch, capsys):
    return FakeNode(monkeypatch, capsys)


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [n1, n2]\n")
    monkeypatch.setenv("WARREN_CONFIG", str(path))
    return path


async def test_status_tells_what_the_node_does(monkeypatch, capsys, file):
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        await hall.tree.propose({"do": "put_vhost", "name": "shop"})
        told = json.loads((await ctl("status", "--formatter", "json")).out)
        assert told["totals"] == {"connection_count": 0, "queue_count": 0, "virtual_host_count": 2}
        assert told["memory"]["total"]["rss"] > 1_000_000
        assert 0 < told["file_descriptors"]["total_used"] < told["file_descriptors"]["total_limit"]
        assert told["alarms"] == []
        out = (await ctl("status")).out
        for line in (
            "Status of node rabbit@n1 ...\nRuntime\n\nOS PID: ",
            "\nIs under maintenance?: false\n",
            f"\nData directory\n\nNode data directory: {file.parent / 'data' / 'n1'}\n",
            f"\nConfig files\n\n * {file}\n",
            "\nAlarms\n\n(none)\n",
            "\nMemory high watermark setting: 0.4 of available memory, computed to: ",
            "\nTotals\n\nConnection count: 0\nQueue count: 0\nVirtual host count: 2\n",
            "\nListeners\n\nInterface: 127.0.0.1, port: ",
        ):
            assert line in out


async def test_memory_is_broken_down_into_what_adds_up(monkeypatch, capsys, file):
    async with open_ctl(monkeypatch, capsys) as (_hall, ctl):
        parts = json.loads((await ctl("memory_breakdown", "--formatter", "json")).out)
        assert 99 < sum(part["percentage"] for part in parts.values()) < 101
        out = (await ctl("memory_breakdown", "--unit", "mb", "-q")).out
        assert all(f"{name}: " in out and " mb (" in out for name in parts)


async def test_the_environment_has_no_secret(monkeypatch, capsys, file):
    async with open_ctl(monkeypatch, capsys) as (_hall, ctl):
        told = json.loads((await ctl("environment", "--formatter", "json")).out)["rabbit"]
        assert (told["heartbeat"], told["partition_handling"]) == (60, "auto")
        assert not {"cookie", "users", "password"} & told.keys()
        assert "\n      {channel_max,2047}," in (await ctl("environment")).out


async def test_a_report_has_everything(monkeypatch, capsys, file):
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        members = FakeMembers(monkeypatch, "n1")
        members.says("n1", cluster_name="local", platform="Warren", cpu_cores=2, cut_from=[], parted_from=[])
        await hall.tree.propose({"do": "put_vhost", "name": "shop"})
        done = await ctl("report")
        assert (done.code, done.err) == (0, "")
        for banner in (
            "Reporting server status of node rabbit@n1 ...",
            "Status of node rabbit@n1 ...",
            "Cluster status of node rabbit@n1 ...",
            "Application environment of node rabbit@n1 ...",
            "Listing connections ...",
            "Listing queues for vhost / ...",
            "Listing queues for vhost shop ...",
            'Listing permissions for vhost "shop" ...',
            'Listing runtime parameters for vhost "shop" ...',
        ):
            assert f"\n{banner}\n" in f"\n{done.out}", banner
        assert (await ctl("report", "--formatter", "json")).code == 64


def test_the_version_that_clients_are_told(node, monkeypatch):
    FakeMembers(monkeypatch, "n1")
    assert node.ctl("server_version").out == "Asking node rabbit@n1 for its RabbitMQ version...\n3.10.8\n"
    assert json.loads(node.ctl("server_version", "--formatter", "json").out) == {"result": "ok", "value": "3.10.8"}


def test_the_end_of_a_log(node, file):
    folder = file.parent / "data" / "n1"
    folder.mkdir(parents=True)
    (folder / "log").write_text("one\ntwo\nthree\n")
    assert node.ctl("log_tail", "-n", "n1", "-N", "2").out == "Last 2 log lines on node rabbit@n1 ...\ntwo\nthree\n"
    assert json.loads(node.ctl("log_tail", "-n", "n1", "-N", "1", "--formatter", "json").out) == [{"message": "three"}]
    assert node.ctl("log_location", "-n", "rabbit@n1", "-q").out == f"{folder / 'log'}\n"
    assert node.ctl("log_tail", "-n", "n2").code == 69
    assert node.ctl("log_tail").code == 64
    assert node.ctl("log_tail", "-n", "n1", "-N", "0").code == 65
