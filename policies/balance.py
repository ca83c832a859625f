"""Which master moves next, so that no node has more than its share.

Decides one move at a time from where masters and copies are; it moves nothing, and must not know why a node may have
masters or not. Source: RabbitMQ 3.10, `rabbit_amqqueue:rebalance`: the share is the number of queues divided by that of
nodes, rounded up, and of a node's queues those with the fewest messages go first. Unlike there a queue may also move to
make room for one that has copies nowhere else.
"""

from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import NamedTuple


class Placed(NamedTuple):
    """A queue: who it is, and where. `mirrors`: the nodes that its master can move to."""

    id: int
    master: str
    mirrors: Sequence[str]
    messages: int


class Move(NamedTuple):
    """What is to be done next."""

    id: int
    node: str


def next_move(queues: Sequence[Placed], nodes: Collection[str], fixed: Collection[int] = ()) -> Move | None:
    """The next move; None if nothing can be bettered. `nodes` are those that may have masters: any other has none to
    keep. Queues that are `fixed` stay where they are, but count."""
    if not nodes:
        return None
    masters = Counter(queue.master for queue in queues)
    share = -(-len(queues) // len(nodes))
    room = {node for node in nodes if masters[node] < share}
    full = [node for node, count in masters.items() if count > (share if node in nodes else 0)]
    roads = _roads([queue for queue in queues if queue.id not in fixed], nodes)
    for node in sorted(full, key=lambda node: (-masters[node], node)):
        if (move := _towards(node, room, roads, masters)) is not None:
            return move
    return None


Roads = dict[str, dict[str, Placed]]
"""Node -> node -> the queue that would move between them."""


def _roads(queues: Sequence[Placed], nodes: Collection[str]) -> Roads:
    roads: Roads = {}
    for queue in sorted(queues, key=lambda queue: (queue.messages, queue.id)):
        for node in queue.mirrors:
            if node in nodes:
                roads.setdefault(queue.master, {}).setdefault(node, queue)
    return roads


def _towards(start: str, room: Collection[str], roads: Roads, masters: Counter[str]) -> Move | None:
    """The last step of the shortest way from a full node to one that has room: what is in the way moves first."""
    seen, waiting = {start}, deque([start])
    while waiting:
        node = waiting.popleft()
        # Of queues with as few messages as each other, the one that goes where there is most room.
        ways = sorted(roads.get(node, {}).items(), key=lambda way: (way[1].messages, masters[way[0]], way[0]))
        for other, queue in ways:
            if other in room:
                return Move(queue.id, other)
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return None
