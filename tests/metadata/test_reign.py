"""What a leader does with requests: each once, and the ends of lives by itself."""

from random import Random

import pytest

from broker.cluster import schema
from broker.cluster.detector import Verdict
from broker.cluster.records import Life
from broker.cluster.tree import Tree
from broker.metadata.farewells import Farewells
from broker.metadata.reign import Reign
from broker.metadata.requests import Asked
from broker.metadata.state import State, Transaction

FOUNDING = {"name": "test", "members": ["n1", "n2", "n3"]}


class FakeZab:
    """Commits at once what is proposed."""

    def __init__(self):
        self.state = State(Tree(schema.index))
        self.epoch = 1
        self.last_zxid = 0
        self.cluster = "id"
        self.members = {"n1": "f1", "n2": "f2", "n3": "f3"}
        self.guests = {}
        self.linked = {"n2": 1, "n3": 1}
        self.dead = {}
        self.awake = True
        self.proposed = []
        self.rolls = []

    def may_propose(self):
        return self.awake

    def propose(self, payload):
        self.last_zxid += 1
        self.proposed.append(Transaction.decode(payload))
        self.state.apply(self.last_zxid, payload)
        return self.last_zxid

    def propose_members(self, members):
        self.rolls.append(members)
        return 1

    def verdict(self, name, life, now):
        return self.dead.get((name, life))

    def met(self, name, life):
        return self.linked.get(name) == life


@pytest.fixture
def zab():
    return FakeZab()


@pytest.fixture
def reign(zab):
    return reign_of(zab, Farewells())


def reign_of(zab, farewells):
    reign = Reign(zab, zab.state.tree, Life("n1", 1), Random(1), FOUNDING, farewells)
    for number, name in enumerate(["n1", "n2", "n3"], 1):
        life = {"do": "register_life", "node": name, "life": 1, "folder": f"f{number}", "token": "t"}
        assert reign.take(Asked("nodes", number, 1, 1, life)) is None
    return reign


def running(zab):
    return [record.name for record in schema.members(zab.state.tree).values() if record.running]


def declaration(number, done_below=1, epoch=1, **more):
    request = {"do": "declare_queue", "vhost": "/", "name": "q", "durable": True, "node": "n1", "life": 1, **more}
    return Asked("a", number, done_below, epoch, request)


def test_a_reign_founds_the_cluster_if_nobody_has(zab, reign):
    assert schema.cluster(zab.state.tree).id == "id"
    assert running(zab) == ["n1", "n2", "n3"]
    count = len(zab.proposed)
    Reign(zab, zab.state.tree, Life("n1", 1), Random(1), FOUNDING, Farewells())
    assert len(zab.proposed) == count


def test_a_request_is_carried_out_once(zab, reign):
    assert reign.take(declaration(1)) is None
    assert zab.proposed[-1].request_id == "a-1"
    count = len(zab.proposed)
    assert reign.take(declaration(1)) is None
    assert len(zab.proposed) == count


def test_an_answer_without_a_transaction_is_the_same_each_time(zab, reign):
    reign.take(declaration(1))
    known = reign.take(declaration(2))
    refused = reign.take(declaration(3, durable=False))
    assert known.answer["created"] is False
    assert known.zxid == zab.last_zxid
    assert refused.refused[0] == "inequivalent"
    reign.take(Asked("a", 4, 1, 1, {"do": "delete_queue", "vhost": "/", "name": "q"}))
    assert reign.take(declaration(2)) is known
    assert reign.take(declaration(3)) is refused


def test_what_nobody_waits_for_or_was_meant_for_another_epoch_is_ignored(zab, reign):
    reign.take(declaration(5, done_below=5))
    count = len(zab.proposed)
    assert reign.take(declaration(4, name="late")) is None
    assert reign.take(declaration(6, epoch=2, name="early")) is None
    assert len(zab.proposed) == count


def test_a_leader_that_does_not_trust_itself_takes_nothing(zab, reign):
    zab.awake = False
    count = len(zab.proposed)
    assert reign.take(declaration(1)) is None
    zab.dead["n2", 1] = Verdict(proven=True)
    reign.look_after_lives(0.0)
    assert len(zab.proposed) == count
    zab.awake = True
    assert reign.take(declaration(1)) is None
    assert len(zab.proposed) == count + 1


@pytest.mark.parametrize(("linked", "why"), [({"n2": 1}, "failure"), ({}, "absent")])
def test_a_life_that_is_over_is_ended_once_and_the_reason_tells_whether_it_was_met(zab, reign, linked, why):
    zab.linked = linked
    zab.dead["n2", 1] = Verdict(proven=False)
    reign.look_after_lives(0.0)
    reign.look_after_lives(0.0)
    assert running(zab) == ["n1", "n3"]
    assert schema.member(zab.state.tree, "n2").why == why
    assert sum(transaction.answer == {"ended": True} for transaction in zab.proposed) == 1


@pytest.mark.parametrize("node", ["n1", "n2"])
@pytest.mark.parametrize("linked", [{"n2": 1, "n3": 1}, {"n3": 1}])
def test_a_life_that_says_that_it_ends_is_ended_though_nothing_else_shows_it(zab, node, linked):
    farewells = Farewells()
    reign = reign_of(zab, farewells)
    zab.linked = linked
    farewells.note(Life(node, 2), "disk")
    reign.look_after_lives(0.0)
    assert node in running(zab), "that was another life"
    farewells.note(Life(node, 1), "disk")
    reign.look_after_lives(0.0)
    assert node not in running(zab)
    assert schema.member(zab.state.tree, node).why == "disk"


HA_ALL = {"do": "put_policy", "vhost": "/", "name": "ha", "pattern": "", "definition": {"ha-mode": "all"}}


def mirrors(zab, name):
    return schema.queue(zab.state.tree, "/", name).mirrors


def test_a_life_that_comes_back_into_sight_is_looked_at_again(zab, reign):
    reign.take(Asked("a", 1, 1, 1, HA_ALL))
    reign.look_after_lives(0.0)
    for number, name in enumerate(["first", "second"], 2):
        zab.linked = {"n2": 1}
        reign.look_after_lives(0.0)
        reign.take(declaration(number, name=name))
        assert mirrors(zab, name) == (Life("n2", 1),)
        zab.linked = {"n2": 1, "n3": 1}
        reign.look_after_lives(0.0)
        assert mirrors(zab, name) == (Life("n2", 1), Life("n3", 1))


def test_the_next_leader_looks_again_at_those_in_sight_but_first_it_buries_the_dead(zab, reign):
    reign.take(Asked("a", 1, 1, 1, HA_ALL))
    zab.linked = {"n2": 1}
    reign.take(declaration(2))
    zab.linked = {"n2": 1, "n3": 1}
    zab.dead["n2", 1] = Verdict(proven=True)
    following = Reign(zab, zab.state.tree, Life("n1", 1), Random(1), FOUNDING, Farewells())
    following.look_after_lives(0.0)
    assert running(zab) == ["n1", "n3"]
    assert len(zab.proposed) - 1 == next(i for i, t in enumerate(zab.proposed) if t.answer == {"ended": True})
    following.look_after_lives(0.0)
    assert mirrors(zab, "q") == (Life("n3", 1),)


def test_of_two_found_dead_together_neither_is_given_what_the_other_leaves(zab, reign):
    reign.take(Asked("a", 1, 1, 1, HA_ALL))
    reign.take(declaration(2, node="n2"))
    leave = {"do": "leave_in_sync", "vhost": "/", "name": "q", "node": "n1", "life": 1}
    queue = schema.queue(zab.state.tree, "/", "q")
    assert queue.master == Life("n2", 1)
    reign.take(Asked("a", 3, 1, 1, {**leave, "id": queue.id, "term": queue.term, "version": queue.version}))
    queue = schema.queue(zab.state.tree, "/", "q")
    assert set(queue.in_sync) == {Life("n2", 1), Life("n3", 1)}
    zab.dead = {("n2", 1): Verdict(proven=False), ("n3", 1): Verdict(proven=False)}  # the links still stand
    reign.look_after_lives(0.0)
    queue = schema.queue(zab.state.tree, "/", "q")
    assert running(zab) == ["n1"]
    assert set(queue.in_sync) == {Life("n2", 1), Life("n3", 1)}
    assert queue.term_count == 1


def test_votes_follow_the_members_in_the_tree(zab, reign):
    reign.take(Asked("a", 1, 1, 1, {"do": "add_member", "node": "n4"}))
    reign.look_after_lives(0.0)
    assert zab.rolls == []
    zab.guests = {"n4": "f4", "n9": "f9"}
    reign.look_after_lives(0.0)
    assert zab.rolls == [{**zab.members, "n4": "f4"}]
    zab.members = {**zab.members, "n0": "f0", "n4": "f4"}
    reign.look_after_lives(0.0)
    assert zab.rolls[1] == {name: folder for name, folder in zab.members.items() if name != "n0"}


def test_a_leader_who_may_have_a_successor_does_not_say_what_is_agreed_upon(zab, reign):
    sync = Asked("n2", 9, 1, 1, {"do": "sync"})
    assert reign.take(sync, leased=False) is None
    assert reign.take(sync) is not None
