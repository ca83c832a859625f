"""The shared tree in a small cluster: asked anywhere, decided once, seen everywhere, through deaths and cuts."""

import pytest
import trio

from broker.cluster import schema
from broker.cluster.refusal import Refused
from broker.metadata import driver as driver_module
from broker.storage.journal import JournalFailed
from tests.metadata.members import cluster_of, declare

TICKTIME = 5.0


def member_record(member, name):
    return schema.member(member.tree.tree, name)


async def test_a_cluster_is_founded_and_everybody_registers(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        for member in members:
            assert member.tree.has_quorum
            assert member.tree.lease_valid() or await cluster.until(member.tree.lease_valid) < 1.0
            assert schema.cluster(member.tree.tree).name == "test"
            assert all(record.running for record in schema.members(member.tree.tree).values())
            assert not member.tree.waiting_for
        assert sorted(member.tree.role for member in members) == ["follower", "follower", "leader"]
        assert {member.tree.leader for member in members} == {cluster.leader.name}
        assert {member.tree.epoch for member in members} == {1}


async def test_what_is_answered_is_there_on_every_node(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        for number, member in enumerate(members):
            answer = await member.tree.propose(declare(f"q{number}", member))
            assert answer["created"]
            assert all(cluster.queue(other, f"q{number}") for other in members)


async def test_an_answer_without_a_change_and_a_refusal_come_back_too(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        for member in members:
            await member.tree.propose(declare("q", member))
            assert not (await member.tree.propose(declare("q", member)))["created"]
            with pytest.raises(Refused) as refused:
                await member.tree.propose(declare("q", member, durable=False))
            assert refused.value.code == "inequivalent"
            with pytest.raises(Refused, match="no procedure"):
                await member.tree.propose({"do": "no such thing"})


async def test_a_fault_in_a_procedure_is_an_answer_not_the_end_of_the_leader(autojump_clock, monkeypatch, caplog):
    def fault(draft):
        raise RuntimeError("a fault")

    monkeypatch.setitem(driver_module.Reign.__init__.__globals__["prepare"].__globals__["PROCEDURES"], "fault", fault)
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        with pytest.raises(Refused, match="could not be carried out"):
            await members[0].tree.propose({"do": "fault"})
        assert (await members[0].tree.propose(declare("q", members[0])))["created"]
    assert "a fault" in caplog.text


async def test_watches_hear_of_what_is_applied_here(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        heard = []
        watch = members[1].tree.watch("/vhosts", heard.append)
        await members[0].tree.propose(declare("q", members[0]))
        assert [(change.kind, change.path) for change in heard] == [("created", schema.queue_path("/", "q"))]
        assert members[1].tree.read(heard[0].path) == heard[0].new
        watch.cancel()


@pytest.mark.parametrize("seed", range(6))
async def test_requests_under_way_when_the_leader_dies_are_carried_out_once(autojump_clock, seed):
    async with cluster_of(3, seed) as cluster:
        members = await cluster.start_all()
        leader = cluster.leader
        others = [member for member in members if member is not leader]
        answers = []

        async def ask(member, number):
            answers.append(await member.tree.propose(declare(f"q{number}", member)))

        with trio.fail_after(2.0):
            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(ask, others[number % 2], number)
                    await trio.sleep(0.0004)
                    if number == 15:
                        cluster.kill(leader.name)
        assert [answer["created"] for answer in answers] == [True] * 30
        assert len(schema.queues(others[0].tree.tree, "/")) == 30


@pytest.mark.parametrize("seed", range(3))
async def test_requests_on_a_link_that_breaks_are_carried_out_once(autojump_clock, seed):
    async with cluster_of(3, seed) as cluster:
        await cluster.start_all()
        leader = cluster.leader
        follower = next(member for member in cluster.members.values() if member is not leader)
        answers = []

        async def ask(number):
            answers.append(await follower.tree.propose(declare(f"q{number}", follower)))

        with trio.fail_after(3.0):
            async with trio.open_nursery() as nursery:
                for number in range(40):
                    nursery.start_soon(ask, number)
                    await trio.sleep(0.0005)
                    if number % 10 == 5:
                        (follower if number % 20 == 5 else leader).links.disconnect(
                            leader.name if number % 20 == 5 else follower.name, "on purpose"
                        )
        assert [answer["created"] for answer in answers] == [True] * 40
        assert cluster.leader is leader


@pytest.mark.parametrize("who", ["follower", "leader"])
async def test_a_kill_is_a_committed_end_of_life_within_a_handful_of_round_trips(autojump_clock, who):
    async with cluster_of(3, delay_s=(0.0001, 0.0002)) as cluster:
        members = await cluster.start_all()
        for disk in cluster.disks.values():
            disk._chance.uniform = lambda a, b: 0.0002  # a write or a sync
        leader = cluster.leader
        victim = leader if who == "leader" else next(member for member in members if member is not leader)
        await victim.tree.propose(declare("ha", victim))
        others = [member for member in members if member is not victim]
        proofs = []
        for member in others:
            member.links.on_dead.append(lambda peer, life: proofs.append(trio.current_time()))
        cluster.kill(victim.name)
        await cluster.until(
            lambda: all(not member_record(member, victim.name).running for member in others), step_s=0.0002
        )
        took = trio.current_time() - max(proofs)
        assert took < (0.012 if who == "leader" else 0.004)
        for member in others:
            queue = cluster.queue(member, "ha")
            assert queue.master.node != victim.name
            assert queue.master in queue.in_sync
            assert member_record(member, victim.name).why == "failure"


async def test_a_member_that_falls_silent_is_over_after_net_ticktime_and_hears_of_it(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        victim = next(member for member in members if member is not cluster.leader)
        heard = []
        victim.tree.on_life_ended(lambda: heard.append("over"))
        victim.tree.on_quorum(heard.append)
        cluster.network.freeze(victim.name)
        took = await cluster.until(lambda: not member_record(cluster.leader, victim.name).running)
        assert TICKTIME - 0.6 < took < TICKTIME + 1.1
        await cluster.until(lambda: not victim.tree.has_quorum)
        cluster.network.thaw(victim.name)
        await cluster.until(lambda: "over" in heard)
        assert victim.tree.is_over
        assert heard[0] is False


async def test_without_a_majority_requests_wait_until_there_is_one(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        for member in members[1:]:
            cluster.kill(member.name)
        with trio.move_on_after(3.0) as scope:
            await members[0].tree.propose(declare("q", members[0]))
        assert scope.cancelled_caught
        assert not members[0].tree.has_quorum
        assert "waiting for" in members[0].tree.waiting_for

        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def ask():
                assert (await members[0].tree.propose(declare("q2", members[0])))["created"]

            await trio.sleep(1.0)
            back = await cluster.start("n2")
            await back.register()


async def test_a_new_life_ends_the_one_before_and_knows_what_was_agreed(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        await members[0].tree.propose(declare("ha", members[0]))
        first = members[0].folder.life
        cluster.kill("n1")
        back = await cluster.start("n1")
        assert await back.register() == {"life": first + 1, "began": True}
        assert cluster.queue(back, "ha").master.node != "n1"
        assert member_record(back, "n1").life == first + 1
        assert not back.tree.is_over


async def test_everybody_may_be_killed_and_what_was_answered_is_still_there(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        for number in range(5):
            await members[number % 3].tree.propose(declare(f"q{number}", members[number % 3]))
        for member in members:
            cluster.kill(member.name)
        members = await cluster.start_all()
        assert [record.name for record in schema.queues(members[0].tree.tree, "/")] == [f"q{n}" for n in range(5)]


async def test_one_that_was_away_too_long_gets_the_state_and_its_watches_hear_the_difference(
    autojump_clock, monkeypatch
):
    monkeypatch.setattr(driver_module, "ENTRIES_MAX", 20)
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        away = next(member for member in members if member is not cluster.leader)
        stays = next(member for member in members if member not in (away, cluster.leader))
        await stays.tree.propose(declare("goes", stays))
        await stays.tree.propose(declare("changes", stays))
        heard = []
        away.tree.watch("/vhosts", heard.append)
        for other in cluster.names:
            if other != away.name:
                away.links.block(other, "in")
        await cluster.until(lambda: not member_record(stays, away.name).running)
        for _ in range(20):
            await stays.tree.propose(declare("comes and goes", stays))
            await stays.tree.propose({"do": "delete_queue", "vhost": "/", "name": "comes and goes"})
        await stays.tree.propose(declare("comes", stays))
        await stays.tree.propose({"do": "delete_queue", "vhost": "/", "name": "goes"})
        assert not heard
        for other in cluster.names:
            if other != away.name:
                away.links.unblock(other, "in")
        await cluster.until(lambda: away.tree.tree.zxid == stays.tree.tree.zxid)
        assert away.tree.tree.digest == stays.tree.tree.digest
        told = {(change.kind, change.path) for change in heard}
        assert ("deleted", schema.queue_path("/", "goes")) in told
        assert ("created", schema.queue_path("/", "comes")) in told
        assert away.driver.zab.log_length < 40


async def let_a_disk_fail():
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        cluster.disks["n1"].sync_fails = True
        await members[1].tree.propose(declare("q", members[1]))
        await trio.sleep(1.0)


async def test_a_disk_that_fails_ends_the_life(autojump_clock):
    with pytest.raises(ExceptionGroup) as failure:
        await let_a_disk_fail()
    assert failure.group_contains(JournalFailed)


async def test_followers_that_are_quicker_than_the_leaders_disk_do_not_ask_in_vain(autojump_clock):
    async with cluster_of(3) as cluster:
        cluster.disks["n3"]._chance.uniform = lambda a, b: 0.03  # n3 will lead
        began = trio.current_time()
        await cluster.start_all()
        assert cluster.leader.name == "n3"
        assert trio.current_time() - began < 0.9


async def test_a_member_that_joins_gets_a_vote_and_one_that_is_forgotten_loses_it(autojump_clock):
    async with cluster_of(3) as cluster:
        members = await cluster.start_all()
        await members[0].tree.propose({"do": "add_member", "node": "n4"})
        for member in members:
            member.links.add_peer("n4", "n4:25672")
        cluster.add("n4")
        newcomer = await cluster.start("n4")
        await newcomer.register()
        await cluster.until(lambda: "n4" in cluster.leader.driver.zab.members)
        assert newcomer.tree.has_quorum or await cluster.until(lambda: newcomer.tree.has_quorum) < 1.0
        gone = next(name for name in ("n1", "n2") if name != cluster.leader.name)
        cluster.kill(gone)
        stays = cluster.leader
        await cluster.until(lambda: not member_record(stays, gone).running)
        await stays.tree.propose({"do": "forget_member", "node": gone})
        await cluster.until(lambda: set(stays.driver.zab.members) == set(cluster.names) - {gone})


async def test_a_cluster_of_one_serves_alone(autojump_clock):
    async with cluster_of(1) as cluster:
        (member,) = await cluster.start_all()
        assert (await member.tree.propose(declare("q", member)))["created"]
        assert member.tree.lease_valid()
