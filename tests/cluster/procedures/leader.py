"""A leader for tests: it prepares requests, sends them through their bytes, and commits them on two trees.

After each transaction it checks what must hold for every queue whatever happened before.
"""

import json
from random import Random

import pytest

from broker.cluster import schema
from broker.cluster.operations import decode, encode
from broker.cluster.overlay import Overlay
from broker.cluster.procedures import prepare
from broker.cluster.records import RUNNING
from broker.cluster.refusal import Refused
from broker.cluster.tree import Tree

ASKED = "waiting: completeness"
"""How `Leader.shown` shows a queue whose mirrors are to be asked."""
ALL = {"ha-mode": "all"}
WHEN_SYNCED = {"ha-mode": "all", "ha-promote-on-failure": "when-synced"}


def exactly(count, **more):
    return {"ha-mode": "exactly", "ha-params": count, **more}


def nodes(*names, **more):
    return {"ha-mode": "nodes", "ha-params": list(names), **more}


class Leader:
    """A cluster of the given nodes, all in their first life, with an optional policy on all queues."""

    def __init__(self, *names, policy=None, seed=1):
        self.tree, self.other = Tree(schema.index), Tree(schema.index)
        self.overlay = Overlay(self.tree)
        self.chance = Random(seed)
        self.zxid = 1 << 32
        self.events = []
        self.terms = {}
        self.ask("found", name="local", id="c1", members=list(names))
        for name in names:
            self.start(name)
        if policy is not None:
            self.policy(policy)

    def ask(self, do, **members):
        """The answer to a committed request; `None` members are left out."""
        self.zxid += 1
        request = {"do": do, **{key: value for key, value in members.items() if value is not None}}
        request = json.loads(json.dumps(request))
        operations, answer = prepare(self.overlay, request, self.zxid, self.chance)
        payload = encode(operations)
        changes = self.tree.apply(self.zxid, decode(payload))
        self.other.apply(self.zxid, decode(payload))
        assert self.tree.digest == self.other.digest
        self.events += [json.loads(change.new) for change in changes if change.kind == "event"]
        self._check()
        return answer

    def life(self, node):
        return schema.member(self.tree, node).life

    def start(self, node, **facts):
        """The next life of a node registers."""
        life = self.life(node) + 1
        self.ask("register_life", node=node, life=life, **{"folder": f"folder of {node}", "token": f"{life}", **facts})

    def end(self, *names, why="failure", contact=None):
        for node in names:
            self.ask("end_life", node=node, life=self.life(node), why=why, contact=contact)

    kill = end

    def stop(self, node):
        self.end(node, why="shutdown")

    def policy(self, definition, name="p", pattern="", **more):
        more = {"vhost": "/", **more}
        self.ask("put_policy", name=name, pattern=pattern, definition=definition, **more)

    def clear(self, name="p", **more):
        self.ask("clear_policy", vhost="/", name=name, **more)

    def declare(self, name="q", node="n1", **facts):
        facts = {"durable": not facts.get("exclusive", False), **facts}
        return self.ask("declare_queue", vhost="/", name=name, node=node, life=self.life(node), **facts)

    def queue(self, name="q"):
        return schema.queue(self.tree, "/", name)

    def enter(self, node, name="q", **facts):
        """This mirror has caught up."""
        record = self.queue(name)
        facts = {"life": self.life(node), "version": record.version, **facts}
        return self.ask("enter_in_sync", id=record.id, node=node, **facts)

    def leave(self, node, name="q", **facts):
        record = self.queue(name)
        facts = {"life": self.life(node), "version": record.version, **facts}
        return self.ask("leave_in_sync", id=record.id, node=node, **facts)

    def counts(self, name="q", **counts):
        """The living mirrors have told how many messages they hold."""
        record = self.queue(name)
        return self.ask("promote_most_complete", id=record.id, version=record.version, counts=counts)

    def shown(self, name="q"):
        """The queue in a line: master first, mirrors by age, `*` = in sync; who is in sync without a copy in ( )."""
        record = self.queue(name)
        if record is None:
            return "gone"
        copies = [record.master, *record.mirrors]
        words = [life.node + ("*" if life in record.in_sync else "") for life in copies]
        words += [f"({life.node})" for life in record.in_sync if life not in copies]
        if record.state != RUNNING:
            words.append(f"{record.state}: {record.reason}")
        return " ".join(words)

    def told(self, kind):
        """The events of this kind so far; they are told once."""
        found = [event for event in self.events if event["kind"] == kind]
        self.events = [event for event in self.events if event["kind"] != kind]
        return found

    def _check(self):
        members = schema.members(self.tree)
        vhosts = schema.vhosts(self.tree)
        for record in (queue for vhost in vhosts for queue in schema.all_queues(self.tree, vhost.name)):
            assert record.in_sync, "the set is never empty"
            assert record.master == record.in_sync[0]
            assert len(set(record.in_sync)) == len(record.in_sync)
            assert record.master not in record.mirrors
            copy_nodes = [life.node for life in (record.master, *record.mirrors)]
            assert len(set(copy_nodes)) == len(copy_nodes)
            term, term_count, master, version = self.terms.get(record.id, (0, 0, None, -1))
            assert record.version >= version
            assert (record.term > term) == (record.master != master), "a new master, a new term"
            assert record.term_count >= term_count
            self.terms[record.id] = (record.term, record.term_count, record.master, record.version)
            is_acting = members.get(record.master.node) is not None and schema.is_current(self.tree, record.master)
            assert is_acting == (record.state == RUNNING), "exactly a running queue has a master whose life goes on"
            for life in set(record.in_sync) - {record.master, *record.mirrors}:
                assert not schema.is_current(self.tree, life), "whoever lives and is in sync has a copy"


def unsynchronised(policy):
    """n1 is master and alone in sync; n2 has just come back and lacks messages."""
    leader = Leader("n1", "n2", policy=policy)
    leader.declare()
    leader.kill("n2")
    leader.start("n2")
    assert leader.shown() == "n1* n2"
    return leader


def refusal(leader, do, **members):
    """The code with which this request is refused."""
    code, _ = refused(leader, do, **members)
    return code


def refused(leader, do, **members):
    """The code with which this request is refused, and the reason."""
    with pytest.raises(Refused) as caught:
        leader.ask(do, **members)
    return caught.value.code, caught.value.why


def bind(leader, source, queue):
    """The queue is bound to this exchange."""
    leader.ask("bind", vhost="/", source=source, destination_kind="queue", destination=queue, key="k")
