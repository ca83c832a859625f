"""What a life says when it is about to end: for that life only, and nothing but what lives end by."""

import pytest
import trio

from broker.cluster import schema
from broker.cluster.records import Life
from broker.metadata.driver import FAREWELL, LANE
from broker.metadata.farewells import Farewells, decode, encode
from tests.metadata.members import cluster_of


def test_the_newest_word_of_a_node_counts_for_the_life_that_said_it():
    farewells = Farewells()
    assert farewells.why(Life("n1", 7)) == ""
    farewells.note(Life("n1", 7), "disk")
    assert farewells.why(Life("n1", 7)) == "disk"
    assert farewells.why(Life("n1", 8)) == ""
    farewells.note(Life("n1", 8), "disk")
    assert farewells.why(Life("n1", 7)) == ""


def test_it_travels():
    assert decode(encode(7, "disk")) == (7, "disk")


MALFORMED = [b"", b"{}", b"[7]", b'[7, "failure"]', b'["x", "disk"]', b'[null, "disk"]', b"\xff"]


@pytest.mark.parametrize("data", MALFORMED)
def test_anything_else_is_no_farewell(data):
    with pytest.raises((ValueError, TypeError)):
        decode(data)


@pytest.mark.parametrize("leads", [True, False])
async def test_the_leader_ends_a_life_that_says_so_whoever_it_is(leads, autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        going = next(each for each in members if (each is cluster.leader) == leads)
        stays = next(each for each in members if each is not going)
        going.links.send(stays.name, LANE, FAREWELL, b"nonsense")
        going.driver.say_farewell("disk")
        await cluster.until(lambda: not schema.member(stays.tree.tree, going.name).running, 1.0)
        assert schema.member(stays.tree.tree, going.name).why == "disk"
        assert going.driver.over or await cluster.until(lambda: going.driver.over) < 0.1


@pytest.mark.parametrize("leads", [True, False])
async def test_a_member_whose_log_has_failed_can_still_say_so(leads, autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        going = next(each for each in members if (each is cluster.leader) == leads)
        failures = []
        going.driver.on_log_failed.append(failures.append)
        cluster.disks[going.name].fail("sync")
        stays = next(each for each in members if each is not going)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stays.tree.propose, {"do": "put_vhost", "name": "more"})
            await cluster.until(lambda: failures)
            going.driver.say_farewell("disk")
            await trio.sleep(0.1)
            cluster.kill(going.name)
        await cluster.until(lambda: not schema.member(stays.tree.tree, going.name).running, 2.0)
        assert schema.member(stays.tree.tree, going.name).why == "disk"
