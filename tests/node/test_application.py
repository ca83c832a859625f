"""What an operator does to a node whose broker is stopped: one thing after the other, and no life begins meanwhile."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.cluster.refusal import Refused
from broker.node.application import Application
from broker.node.commands import Commands
from broker.node.configuration import load
from broker.node.healing import Healing
from broker.node.membership import Membership
from broker.node.timeline import Timeline
from broker.world.clock import RealClock
from broker.world.network import TcpNetwork
from tests.cluster.malformed import requests
from tests.node.slow_disk import SlowDisk
from tests.simulation.disk import SimDisk

MEMBERS = {
    "stop_app": "",
    "start_app": "",
    "shutdown": "",
    "reset": "",
    "force_reset": "",
    "join_cluster": "target address",
    "update_cluster_nodes": "target address",
    "force_boot": "",
    "forget_offline": "node",
}
TEXTS = st.sampled_from(["n1", "n2", "", "127.0.0.1:1", "127.0.0.1:x", "\x00", "\ud800", "k" * 256])
ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(-1, 1), TEXTS, st.lists(TEXTS, max_size=1))


def stopped_node(folder, disk):
    path = folder / "cluster.yaml"
    path.write_text('nodes: [{name: n1, link: "127.0.0.1:1"}, {name: n2, link: "127.0.0.1:2"}]\n')
    cluster = load(path)
    return SimpleNamespace(
        name="n1",
        cluster=cluster,
        config=cluster.node("n1"),
        disk=disk,
        membership=Membership(cluster, "n1", disk),
        healing=Healing(disk),
        report=SimpleNamespace(stopped="by stop_app", failure="", link="127.0.0.1:1"),
        stop=lambda: None,
        stopping=trio.Event(),
        suspects=set(),
        timeline=Timeline("n1", RealClock(), disk, 60),
        world=SimpleNamespace(network=TcpNetwork()),
    )


@pytest.fixture
def application(tmp_path):
    """Of a node that was stopped, with a disk that takes a second for the first write."""
    return Application(stopped_node(tmp_path, SlowDisk(SimDisk(Random(1)), 1)))


async def test_shutdown_ends_the_process(application):
    asked = []
    application._node.stop = lambda: asked.append("stop")
    assert await application.verbs["shutdown"]({}) == {}
    assert asked == ["stop"]


async def test_no_life_begins_before_it_is_written_down_how(application, autojump_clock):
    application.fail()  # no life is wanted
    async with trio.open_nursery() as nursery:
        nursery.start_soon(application.verbs["force_boot"], {})
        await trio.sleep(0.1)
        nursery.start_soon(application.verbs["start_app"], {})
        await application.rest_until_wanted()
        assert trio.current_time() >= 1


async def test_what_needs_a_node_at_rest_is_refused_once_a_life_is_wanted(application):
    application.fail()
    await application.verbs["start_app"]({})
    with pytest.raises(Refused, match="the broker on n1 runs"):
        await application.verbs["force_boot"]({})


@pytest.mark.parametrize("verb", ["join_cluster", "update_cluster_nodes"])
async def test_a_node_that_nobody_knows_is_not_dialled(application, verb):
    application.fail()
    with pytest.raises(Refused, match="nobody here knows where n9 is dialled"):
        await application.verbs[verb]({"target": "n9"})


async def test_every_request_is_among_those_above(application):
    assert application.verbs.keys() == MEMBERS.keys()


@settings(max_examples=12, deadline=None)
@given(st.lists(requests(MEMBERS, {}, TEXTS, ANYTHING), min_size=1, max_size=4))
async def test_whatever_is_asked_is_done_or_refused(asked):
    with TemporaryDirectory() as folder:
        application = Application(stopped_node(Path(folder), SimDisk(Random(1))))
        for request in asked:
            application.fail()
            commands = Commands(None, None, None, application.verbs)
            assert isinstance((await commands.answer(request)).get("error", ""), str)
