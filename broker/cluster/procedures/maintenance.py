"""Requests about work on nodes: take one out of service and back, and let queues be spread anew by one node at a time.

Decides what maintenance means to queues: the masters of the node go to mirrors elsewhere that hold everything, those
without any stay, and move as soon as there is one. It must not know what the node does with its clients. Source:
RabbitMQ 3.10, `rabbit_maintenance` and `rabbit_amqqueue:rebalance`; that mirrored masters move is our own.
"""

import json

from broker.cluster import schema
from broker.cluster.operations import Event
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.placing import settle_all
from broker.cluster.records import Life
from broker.cluster.refusal import Refused
from broker.cluster.succession import Situation

MAINTENANCE = "maintenance"
"""The cause of promotions when a node is drained."""


def drain_node(draft: Draft) -> Answer:
    """A member goes into maintenance, until it is revived: also over its restarts. Members: node."""
    return _put(draft, drained=True)


def revive_node(draft: Draft) -> Answer:
    """A member is in service again: masters of others in maintenance may come, but what has left it stays away. Member:
    node."""
    return _put(draft, drained=False)


def _put(draft: Draft, *, drained: bool) -> Answer:
    record = draft.member()
    if record.drained != drained:
        draft.put(schema.member_path(record.name), record._replace(drained=drained))
        draft.tell(Event.of("maintenance", node=record.name, change="drained" if drained else "revived"))
        lives = draft.lives()
        keys = [schema.masters_key(node) for node in sorted(lives.drained)]
        settle_all(draft, keys, Situation(lives, draft.zxid, draft.chance, MAINTENANCE))
    return {"changed": record.drained != drained}


def begin_rebalance(draft: Draft) -> Answer:
    """A node is about to spread the masters; refused `rebalance_in_progress` while another life does so. Members: node,
    life."""
    asking, holder = draft.life(), _holder(draft)
    if holder is not None and holder != asking and not draft.lives().is_over(holder):
        raise Refused("rebalance_in_progress", "rebalance_in_progress")
    draft.overlay.put(schema.REBALANCE, json.dumps(asking).encode())
    return {}


def end_rebalance(draft: Draft) -> Answer:
    """It has done so. Members: node, life."""
    if _holder(draft) == draft.life():
        draft.overlay.delete(schema.REBALANCE)
    return {}


def _holder(draft: Draft) -> Life | None:
    data = draft.overlay.data(schema.REBALANCE)
    return None if data is None else Life(*json.loads(data))
