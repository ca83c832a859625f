"""The drill sees a cluster through its nodes' own words, and hurts it through the supervisor."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.node.configuration import Cluster, load
from broker.peers.introduction import Credentials, Identity
from broker.peers.reception import Reception
from broker.perf.control import Control, Helpless, Picture
from tests.simulation.network import SimHost, SimNetwork

NAMES = ("n1", "n2", "n3")
SUPERVISOR = "127.0.0.1:7000"


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    nodes = {name: {"link": f"{name}:25672", "amqp": f"{name}:5672", "http": f"{name}:1", "pid": 1} for name in NAMES}
    (tmp_path / "run.json").write_text(json.dumps({"supervisor": {"pid": 1, "port": 7000}, "nodes": nodes}))
    return replace(load(None), data=tmp_path)


class Answering:
    """A supervisor and three nodes that note what they are asked."""

    def __init__(self, cluster: Cluster) -> None:
        self.network = SimNetwork(Random(1))
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any]] = {
            name: {"state": "running", "role": "follower", "epoch": 3, "queues": []} for name in NAMES
        }
        self._cluster = cluster

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            for name in (*NAMES, "supervisor"):
                identity = Credentials(Identity(name, 1, ""), cluster=self._cluster.name, cookie=self._cluster.cookie)
                reception = Reception(identity, {}, {}, tls=None, admin=partial(self._answer, name))
                address = SUPERVISOR if name == "supervisor" else f"{name}:25672"
                nursery.start_soon(reception.run, await self.network.host(name).listen(address))
            task_status.started()
            await trio.sleep_forever()

    async def _answer(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        self.heard.append((name, request))
        if request["do"] == "events":
            own = {"id": name, "stamp_ms": 2, "kind": "life", "text": name}
            return {"events": [own, {"id": "5/1", "stamp_ms": 1, "kind": "promotion", "text": "p"}]}
        if request.get("node") == "n9":
            return {"error": "there is no node n9"}
        return self.answers.get(name, {})

    @property
    def client(self) -> SimHost:
        return self.network.host("client")


async def test_it_looks_at_every_node_and_goes_without_the_silent(cluster: Cluster, autojump_clock: MockClock) -> None:
    there = Answering(cluster)
    there.answers["n2"]["role"] = "leader"
    async with trio.open_nursery() as nursery:
        await nursery.start(there.run)
        control = Control(cluster, there.client)
        assert control.names == NAMES
        picture = await control.look()
        assert (picture.running, picture.leader) == (NAMES, "n2")
        there.network.freeze("n3")
        assert (await control.look()).running == ("n1", "n2")
        nursery.cancel_scope.cancel()


async def test_process_faults_go_to_the_supervisor(cluster: Cluster, autojump_clock: MockClock) -> None:
    there = Answering(cluster)
    async with trio.open_nursery() as nursery:
        await nursery.start(there.run)
        control = Control(cluster, there.client)
        assert await control.has_supervisor()
        await control.act("kill", "n2")
        assert there.heard[-1] == ("supervisor", {"do": "kill", "node": "n2"})
        with pytest.raises(Helpless, match="kill n9: there is no node n9"):
            await control.act("kill", "n9")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("way", "back"), [("both", "both"), ("out", "in"), ("in", "out")])
@pytest.mark.parametrize("other", ["", "n3"])
async def test_a_cut_is_told_to_both_sides(
    cluster: Cluster, way: str, back: str, other: str, autojump_clock: MockClock
) -> None:
    there = Answering(cluster)
    async with trio.open_nursery() as nursery:
        await nursery.start(there.run)
        control = Control(cluster, there.client)
        await control.cut("n1", way=way, other=other)
        (_, to_supervisor), *to_nodes = there.heard
        told = {name: request["peers"] for name, request in to_nodes}
        others = [other] if other else ["n2", "n3"]
        assert told == {"n1": dict.fromkeys(others, way), **{each: {"n1": back} for each in others}}
        assert to_supervisor == {"do": "block", "blocks": told}
        there.heard.clear()
        await control.heal()
        assert there.heard[0] == ("supervisor", {"do": "unblock"})
        assert sorted(there.heard[1:], key=str) == [(name, {"do": "unblock"}) for name in NAMES]
        nursery.cancel_scope.cancel()


async def test_the_time_lines_are_merged(cluster: Cluster, autojump_clock: MockClock) -> None:
    there = Answering(cluster)
    async with trio.open_nursery() as nursery:
        await nursery.start(there.run)
        events = await Control(cluster, there.client).events(0)
        assert [event["id"] for event in events] == ["5/1", "n1", "n2", "n3"]
        nursery.cancel_scope.cancel()


async def test_whole_cluster_questions_go_to_one_that_runs(cluster: Cluster, autojump_clock: MockClock) -> None:
    there = Answering(cluster)
    there.answers["n1"]["state"] = "paused"
    async with trio.open_nursery() as nursery:
        await nursery.start(there.run)
        control = Control(cluster, there.client)
        await control.ask_any({"do": "sync"})
        assert there.heard[-1] == ("n2", {"do": "sync"})
        for answer in there.answers.values():
            answer["state"] = "paused"
        with pytest.raises(Helpless, match="no node serves"):
            await control.ask_any({"do": "sync"})
        nursery.cancel_scope.cancel()


async def test_without_a_supervisor_there_is_nothing_to_hurt(cluster: Cluster, autojump_clock: MockClock) -> None:
    assert not await Control(cluster, SimNetwork(Random(1)).host("client")).has_supervisor()
    assert cluster.data is not None
    (cluster.data / "run.json").unlink()
    with pytest.raises(Helpless, match="no cluster was started here"):
        Control(cluster)


def row(name: str, master: str, in_sync: list[str], state: str = "running") -> dict[str, Any]:
    return {"name": name, "master": master, "in_sync": in_sync, "state": state, "reason": None}


def test_the_masters_word_about_a_queue_counts_then_the_newest_epochs() -> None:
    picture = Picture(
        {
            "n1": {"state": "running", "role": "follower", "epoch": 2, "queues": [row("drill.1", "n1", ["n2"])]},
            "n2": {"state": "running", "role": "leader", "epoch": 3, "queues": [row("drill.1", "n1", [])]},
            "n3": {"state": "running", "role": "looking", "epoch": 1, "queues": [row("drill.1", "n3x", ["n1"])]},
        }
    )
    assert picture.queues("drill.")["drill.1"]["in_sync"] == ["n2"]
    assert picture.scene("drill.").masters == {"drill.1": "n1"}
    assert picture.queues("other.") == {}


def test_whole_means_all_run_one_leads_and_every_copy_is_in_sync() -> None:
    def told(**changes: Any) -> str | None:
        nodes = {
            name: {"state": "running", "role": "follower", "epoch": 1, "queues": [row("drill.1", "n1", ["n2", "n3"])]}
            for name in NAMES
        }
        nodes["n1"] |= {"role": "leader", **changes}
        return Picture(nodes).unsettled(NAMES, "drill.")

    assert told() is None
    assert told(role="looking") == "nobody leads the metadata"
    assert told(state="paused", reason="2 nodes are missing") == "n1 is paused: 2 nodes are missing"
    assert told(queues=[row("drill.1", "n1", ["n2"])]) == "drill.1 on n1 has 1 of 2 mirrors in sync"
    assert told(queues=[row("drill.1", "n1", [], "syncing")]) == "drill.1 is syncing"
    assert Picture({}).unsettled(NAMES, "drill.") == "n1 is silent"
