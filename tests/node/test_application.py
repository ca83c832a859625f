"""What an operator does to a node whose broker is stopped: one thing after the other, and no life begins meanwhile."""

from random import Random
from types import SimpleNamespace

import pytest
import trio

from broker.cluster.refusal import Refused
from broker.node.application import Application
from broker.node.configuration import load
from broker.node.membership import Membership
from tests.node.slow_disk import SlowDisk
from tests.simulation.disk import SimDisk


@pytest.fixture
def application(tmp_path):
    """Of a node that was stopped, with a disk that takes a second for the first write."""
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [{name: n1}]\n")
    membership = Membership(load(path), "n1", SlowDisk(SimDisk(Random(1)), 1))
    report = SimpleNamespace(stopped="by stop_app", failure="")
    return Application(SimpleNamespace(name="n1", membership=membership, report=report, stopping=trio.Event()))


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
