"""Three real nodes on three hosts (network namespaces) whose links drop packets: nothing confirmed is lost, who is left
alone pauses, and all of it heals."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from broker.node.configuration import load
from broker.perf.client import Client, Closed
from broker.perf.control import Control, Picture
from broker.perf.course import Drill, Orders
from broker.perf.finding import RUN_FILE, targets
from tests.perf.hosts import Hosts, Unable

pytestmark = pytest.mark.slow

NAMES = ("n1", "n2", "n3")
PORTS = {"amqp": 5672, "http": 15672, "link": 25672}
NET_TICKTIME_S = 1
WHOLE_AFTER_S = 60.0
# Not guest, who may come from the same machine only.
USER = {"name": "driller", "password": "crumbs", "tags": ["administrator"], "permissions": {"/": [".*", ".*", ".*"]}}
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "thaw": signal.SIGCONT}


class HostsControl(Control):
    """The drill's hand on nodes that no supervisor started: on their processes, and on the router between them."""

    def __init__(self, hosts: Hosts, file: Path) -> None:
        self.cluster = load(file)
        super().__init__(self.cluster)
        self._hosts = hosts
        self._file = file
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ways: list[tuple[str, bool]] = []

    def start(self, name: str) -> None:
        """The node's process."""
        node = [sys.executable, "-m", "broker", "node", name, "--config", str(self._file)]
        with self._file.with_name(f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(self._hosts.command(name, *node), stdout=log, stderr=log)

    def end(self) -> None:
        """Every process."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    async def act(self, verb: str, node: str) -> None:
        """Kill, start, freeze or thaw the process of a node."""
        if verb == "start":
            self.start(node)
            await self.wait_until(lambda picture: node in picture.running)
            return
        self._processes[node].send_signal(SIGNALS[verb])
        if verb == "kill":
            self._processes[node].wait()

    async def cut(self, node: str, *, way: str = "both", other: str = "") -> None:
        """Drop what the node says, is told, or both."""
        self.ways.append((way, bool(other)))
        for each in [other] if other else [name for name in NAMES if name != node]:
            if way != "in":
                self._hosts.cut(node, each)
            if way != "out":
                self._hosts.cut(each, node)

    async def heal(self) -> None:
        """Drop nothing any more."""
        self._hosts.heal()

    async def wait_until(self, so: Callable[[Picture], object], seconds: float = WHOLE_AFTER_S) -> Picture:
        """What the nodes say once it is so."""
        until = trio.current_time() + seconds
        while not so(picture := await self.look()):
            assert trio.current_time() < until, picture
            await trio.sleep(0.05)
        return picture


@pytest.fixture
def control(cluster: HostsControl) -> Iterator[HostsControl]:
    yield cluster
    trio.run(cluster.heal)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostsControl]:
    hosts = Hosts(NAMES)
    running: HostsControl | None = None
    try:
        try:
            hosts.make()
        except Unable as why:
            pytest.skip(str(why))
        running = HostsControl(hosts, written(tmp_path_factory.mktemp("partitions"), hosts))
        for name in NAMES:
            running.start(name)
        with hosts.outside():
            trio.run(running.wait_until, lambda picture: len(picture.running) == 3)
            yield running
    finally:
        if running is not None:
            running.end()
        hosts.remove()


def written(folder: Path, hosts: Hosts) -> Path:
    """The cluster's file, and where its nodes are for those who ask a supervisor's record."""
    doors = {name: {door: f"{hosts.address(name)}:{port}" for door, port in PORTS.items()} for name in NAMES}
    cluster = {
        "cluster": {"name": "hosts", "cookie": "crumbs of three hosts"},
        "nodes": [{"name": name, **doors[name]} for name in NAMES],
        "settings": {"net_ticktime": NET_TICKTIME_S},
        "users": [USER],
        "data": str(folder / "data"),
    }
    file = folder / "cluster.yaml"
    file.write_text(json.dumps(cluster))
    (folder / "data").mkdir()
    (folder / "data" / RUN_FILE).write_text(json.dumps({"supervisor": {"port": 0}, "nodes": doors}))
    return file


def test_a_drill_over_cut_links_loses_nothing(control: HostsControl) -> None:
    said: list[str] = []
    orders = Orders(rounds=9, faults=("partition",), seed=5, net_ticktime_s=NET_TICKTIME_S)
    report = trio.run(Drill(control, targets(control.cluster), orders, said.append).run)
    told = "\n".join([*said, json.dumps(report)])
    assert (report["failure"], report["lost"], report["unknown"]) == (None, 0, 0), told
    assert (report["duplicated"], report["reordered"]) == (0, 0), told
    assert report["confirmed"] > 5000, told
    assert set(control.ways) == {("both", False), ("out", False), ("in", False), ("both", True)}, told
    assert report["promotions"], told
    # Silence is noticed after net_ticktime; nobody waits for packets that a dead connection sends again.
    assert report["promotion_ms_p50"] < 1000 * (2 * NET_TICKTIME_S + 1), told


@pytest.mark.parametrize("way", ["both", "out", "in"])
def test_who_is_left_alone_pauses_and_comes_back(control: HostsControl, way: str) -> None:
    trio.run(partial(leave_alone, control, way))


async def leave_alone(control: HostsControl, way: str) -> None:
    picture = await control.wait_until(lambda picture: len(picture.running) == 3)
    alone = picture.leader or ""
    others = tuple(name for name in NAMES if name != alone)
    await control.cut(alone, way=way)
    picture = await control.wait_until(
        lambda picture: picture.running == others and picture.nodes.get(alone, {}).get("state") == "paused"
    )
    assert picture.leader in others
    with pytest.raises(Closed):
        await Client.open(targets(control.cluster)[alone], timeout_s=1.0)
    await control.heal()
    picture = await control.wait_until(lambda picture: len(picture.running) == 3)
    assert len({told["epoch"] for told in picture.nodes.values()}) == 1


def test_two_that_do_not_hear_each_other_are_one_cluster_with_the_third(control: HostsControl) -> None:
    trio.run(part_two, control)


async def part_two(control: HostsControl) -> None:
    picture = await control.wait_until(lambda picture: len(picture.running) == 3)
    leader = picture.leader or ""
    one, other = (name for name in NAMES if name != leader)
    await control.cut(one, other=other)
    with trio.move_on_after(3 * NET_TICKTIME_S):
        while True:
            now: dict[str, Any] = dict((await control.look()).nodes)
            assert {name: told["state"] for name, told in now.items()} == dict.fromkeys(NAMES, "running")
            assert (await control.look()).leader == leader
            await trio.sleep(0.1)
    await control.heal()
