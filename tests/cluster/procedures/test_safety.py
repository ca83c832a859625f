"""Random histories of nodes that die, sleep, lose their disks and come back: nothing confirmed is lost on the way.

The tree is the real one; the nodes are a model of what DESIGN section 3 demands of them: a master confirms a message
only if every life of the in-sync set has it, a mirror enters with everything the master has, a disk survives its
process. The leader's `contact` is true but may be incomplete, and it may take a sleeper for dead.
"""

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.cluster import schema
from broker.cluster.records import COMPLETENESS, RUNNING, Life
from broker.cluster.refusal import Refused
from tests.cluster.procedures.leader import ALL, WHEN_SYNCED, Leader, exactly, nodes

NODES = ("n1", "n2", "n3")
DURABLE, TRANSIENT = "durable", "transient"
POLICIES = (
    ALL,
    WHEN_SYNCED,
    exactly(2),
    exactly(2, **{"ha-promote-on-failure": "when-synced", "ha-promote-on-shutdown": "always"}),
    nodes("n2", "n3"),
    nodes("n1"),
    None,
)
ACTIONS = {
    "confirm": 8,
    "catch_up": 5,
    "die": 5,
    "start": 5,
    "restart": 3,
    "leave": 2,
    "policy": 2,
    "count": 2,
    "transfer": 2,
    "reconcile": 1,
    "crash": 2,
    "report": 2,
    "sleep": 1,
    "blank": 2,
    "promote": 1,
    "maintain": 2,
}
STEP = st.tuples(
    st.sampled_from([action for action, weight in ACTIONS.items() for _ in range(weight)]),
    st.sampled_from(NODES),
    st.sampled_from((0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7)),
)


class World:
    """Three nodes with disks, two queues, and a leader who knows what it sees."""

    def __init__(self, memory):
        self.memory = memory
        self.leader = Leader(*NODES)
        self.processes = dict.fromkeys(NODES, 1)
        self.counters = dict.fromkeys(NODES, 1)
        if memory:
            self.leader.start("n3", memory=True)
            self.processes["n3"] = self.counters["n3"] = 2
        self.held = {node: {DURABLE: frozenset(), TRANSIENT: frozenset()} for node in NODES}
        self.confirmed = {DURABLE: frozenset(), TRANSIENT: frozenset()}
        self.terms = {}
        self.in_sync = {}
        self.next_message = 0
        self.leader.policy(ALL)
        self.leader.declare(DURABLE)
        self.leader.declare(TRANSIENT, durable=False)

    def is_alive(self, life):
        return self.processes[life.node] == life.number

    def contact(self, mask):
        """The lives that the leader sees: those that there are, but for some."""
        return {
            node: number
            for bit, (node, number) in enumerate(self.processes.items())
            if number is not None and not mask >> bit & 1
        }

    def acting(self, name):
        """The record, if its master can act."""
        record = self.leader.queue(name)
        return record if record is not None and record.state == RUNNING and self.is_alive(record.master) else None

    def step(self, action, node, number):
        """One thing happens on one node; what concerns queues, to both of them."""
        if action in ("confirm", "catch_up", "leave", "promote", "count", "transfer"):
            for name in (DURABLE, TRANSIENT):
                with suppress(Refused):
                    getattr(self, action)(node, number, name)
        else:
            with suppress(Refused):
                getattr(self, action)(node, number)
        self.check()

    def die(self, node, number):
        self.crash(node, number)
        self.report(node, number)

    def restart(self, node, number):
        """Within milliseconds: nobody has noticed."""
        self.crash(node, number)
        self.start(node, number)

    def crash(self, node, number):
        self.processes[node] = None
        self.held[node][TRANSIENT] = frozenset()
        if self.memory and node == "n3":
            self.held[node][DURABLE] = frozenset()

    def report(self, node, number):
        """The leader is right about a death, at last."""
        if self.processes[node] != self.leader.life(node):
            why = ("failure", "shutdown", "absent")[number % 3]
            self.leader.end(node, why=why, contact=self.contact(number))

    def sleep(self, node, number):
        """The leader takes a living process for dead; it finds out when it wants something."""
        self.leader.end(node, why="failure", contact=self.contact(0))

    def start(self, node, number, blank=False):
        life = self.leader.life(node)
        is_deposed = node not in {one.node for one in self.current()}
        if self.processes[node] is not None and not is_deposed:
            return
        if self.processes[node] is not None:
            self.held[node][TRANSIENT] = frozenset()
        self.counters[node] = max(self.counters[node], life) + 1
        self.processes[node] = self.counters[node]
        memory = self.memory and node == "n3"
        if blank or memory:
            self.held[node] = {DURABLE: frozenset(), TRANSIENT: frozenset()}
        facts = {"blank": blank, "memory": memory}
        contact = self.contact(number)
        self.leader.ask(
            "register_life", node=node, life=self.counters[node], folder=f"folder of {node}", contact=contact, **facts
        )

    def current(self):
        """The lives that the tree calls running."""
        members = schema.members(self.leader.tree)
        return [Life(node, record.life) for node, record in members.items() if record.running]

    def blank(self, node, number):
        if self.processes[node] is None:
            self.start(node, number, blank=True)

    def confirm(self, node, number, name):
        record = self.acting(name)
        if record is not None and all(self.is_alive(life) for life in record.in_sync):
            self.next_message += 1
            self.confirmed[name] |= {self.next_message}
            for life in record.in_sync:
                self.held[life.node][name] |= {self.next_message}

    def catch_up(self, node, number, name):
        for node in NODES:
            record = self.acting(name)
            mirror = next((life for life in record.mirrors if life.node == node), None) if record else None
            if mirror is not None and self.is_alive(mirror):
                self.held[node][name] = self.held[record.master.node][name]
                self.leader.enter(node, name, life=mirror.number, contact=self.contact(number))

    def leave(self, node, number, name):
        record = self.acting(name)
        member = next((life for life in record.in_sync if life.node == node), None) if record else None
        if member is not None:
            self.leader.leave(node, name, life=member.number, contact=self.contact(number))

    def policy(self, node, number):
        policy = POLICIES[number % len(POLICIES)]
        if policy is None:
            self.leader.clear(contact=self.contact(0))
        else:
            self.leader.policy(policy, contact=self.contact(0))

    def promote(self, node, number, name):
        if number < 2:
            self.leader.ask("promote", vhost="/", name=name, node=node, contact=self.contact(0))

    def count(self, node, number, name):
        record = self.leader.queue(name)
        if record is not None and record.reason == COMPLETENESS:
            alive = [life for life in record.mirrors if self.is_alive(life)]
            self.leader.counts(name, **{life.node: len(self.held[life.node][name]) for life in alive})

    def reconcile(self, node, number):
        self.leader.ask("reconcile", node=node, contact=self.contact(number))

    def transfer(self, node, number, name):
        record = self.acting(name)
        if record is not None:
            self.leader.ask("transfer", id=record.id, node=node, contact=self.contact(number))

    def maintain(self, node, number):
        do = "drain_node" if number % 2 else "revive_node"
        self.leader.ask(do, node=node, contact=self.contact(0))

    def check(self):
        for name in (DURABLE, TRANSIENT):
            record = self.leader.queue(name)
            if record is None:
                assert name == TRANSIENT
                for life in self.in_sync.pop(name, ()):
                    assert not (self.is_alive(life) and life in self.current()), "its messages are there"
                continue
            self.in_sync[name] = record.in_sync
            if record.term != self.terms.get(name) and record.lossy_term == record.term:
                self.confirmed[name] &= self.held[record.master.node][name]
            self.terms[name] = record.term
            if self.acting(name):
                for life in record.in_sync:
                    lost = self.confirmed[name] - self.held[life.node][name]
                    assert not lost or not self.is_alive(life), f"{life} in sync lacks {lost} of the {name} queue"

    def settle(self):
        """The leader learns the truth: then every queue runs that has an heir, and the others say whom they miss."""
        for node in NODES:
            self.report(node, 2)
        self.leader.ask("reconcile", all=True, contact=self.contact(0))
        self.check()
        current = {life.node: life for life in self.current()}
        record = self.leader.queue(DURABLE)
        if record.state != RUNNING:
            holders = {life.node for life in record.in_sync if life.node in current}
            confirmed = self.confirmed[DURABLE]
            assert not any(confirmed and confirmed <= self.held[node][DURABLE] for node in holders), "it could serve"
            assert record.reason
        record = self.leader.queue(TRANSIENT)
        assert record is None or record.state == RUNNING or record.reason == COMPLETENESS


def live(memory, steps):
    world = World(memory)
    for step in steps:
        world.step(*step)
    world.settle()


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.lists(STEP, min_size=10, max_size=40))
@example(False, [("confirm", "n1", 0), ("restart", "n1", 0), ("die", "n2", 0)])
def test_nothing_confirmed_is_lost(memory, steps):
    live(memory, steps)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.booleans(), st.lists(STEP, min_size=10, max_size=80))
def test_nothing_confirmed_is_lost_in_many_histories(memory, steps):
    live(memory, steps)
