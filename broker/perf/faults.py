"""Which fault comes next in a drill: a deck of cards, shuffled by the seed, dealt against the cluster as it stands.

It decides who dies, when and in which company, so that each special comes round and at least a third of the kills hit
the node that leads the metadata. It must not know how a node is killed, nor wait: a fault is a list of steps, and
somebody else carries them out.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

FAULTS = ("kill", "freeze", "partition")
# The node that took the queue over in this round: known only when it is done.
SECOND = "(the new master)"

CARDS = {
    "kill": ("kill", "kill", "kill", "kill", "blink", "two_kills", "master_and_leader"),
    "freeze": ("freeze", "freeze"),
    "partition": ("partition", "partition_one_way", "partition_partial"),
}
# What becomes of the specials when there is no third node to make them worth their name.
PLAIN = {
    "two_kills": "kill",
    "master_and_leader": "kill",
    "freeze_kill_thaw": "freeze",
    "partition_partial": "partition",
}


class Scene(NamedTuple):
    """The cluster before a round: who runs, who leads the metadata, which node masters each queue of the drill."""

    nodes: tuple[str, ...]
    leader: str | None
    masters: Mapping[str, str]


class Step(NamedTuple):
    """One act: kill, start, freeze, thaw, cut (the node from all others, or from `other`), heal, pause (for `seconds`),
    or promoted (wait until the queue, lately of `node`, confirms again). `cause` labels the promotions that it brings.

    `way` of a cut: both; out, when what the node says is lost; in, when it hears nothing.
    """

    verb: str
    node: str = ""
    seconds: float = 0.0
    cause: str = ""
    way: str = "both"
    other: str = ""


class Fault(NamedTuple):
    """One round: what is done to the master of `queue`."""

    name: str
    queue: str
    steps: tuple[Step, ...]


class Deck:
    """Deals faults; the same seed and the same scenes give the same faults."""

    def __init__(self, faults: Sequence[str], chance: Random, *, net_ticktime_s: float = 5.0) -> None:
        unknown = sorted(set(faults) - set(FAULTS))
        if unknown or not faults:
            raise ValueError(f"unknown fault {', '.join(unknown) or 'nothing'}: choose from {', '.join(FAULTS)}")
        self._faults = tuple(faults)
        self._chance = chance
        self._net_ticktime_s = net_ticktime_s
        self._cards: list[str] = []
        self.kills = 0
        self.leader_kills = 0
        # Whoever runs a single round wants to see the plain case.
        self._first = "kill" in faults

    @property
    def leader_is_due(self) -> bool:
        """Whether the next kill must hit the leader, so that one third of them do."""
        return self.leader_kills * 3 < self.kills + 1

    def count_kill(self, *, leader: bool) -> None:
        """A node was killed, and it was the leader or not."""
        self.kills += 1
        self.leader_kills += leader

    def wants_queue_on(self, scene: Scene) -> str | None:
        """The node on which to declare a queue before the next round: a leader that must die but masters none."""
        if self.leader_is_due and scene.leader in scene.nodes and scene.leader not in scene.masters.values():
            return scene.leader
        return None

    def deal(self, scene: Scene) -> Fault:
        """The next round for a cluster that stands like this; it has at least one queue."""
        name = self._draw()
        if len(scene.nodes) < 3:
            name = PLAIN.get(name, name)
        queue = self._queue(name, scene)
        if name == "master_and_leader" and scene.leader in (None, scene.masters[queue]):
            name = "kill"
        return Fault(name, queue, tuple(self._steps(name, scene.masters[queue], scene)))

    def _draw(self) -> str:
        if self._first:
            self._first = False
            return "kill"
        if not self._cards:
            self._cards = [card for fault in self._faults for card in CARDS[fault]]
            if {"kill", "freeze"} <= set(self._faults):
                self._cards.append("freeze_kill_thaw")
            self._chance.shuffle(self._cards)
        return self._cards.pop()

    def _queue(self, name: str, scene: Scene) -> str:
        queues = sorted(scene.masters)
        led = [queue for queue in queues if scene.masters[queue] == scene.leader]
        free = [queue for queue in queues if scene.masters[queue] != scene.leader]
        if name == "master_and_leader":
            wanted = free
        elif name in {"kill", "blink", "two_kills", "freeze_kill_thaw"} and self.leader_is_due:
            wanted = led
        else:
            wanted = queues
        return self._chance.choice(wanted or queues)

    def _steps(self, name: str, master: str, scene: Scene) -> list[Step]:
        between = self._chance.uniform
        dies, back = Step("kill", master, cause=name), Step("start", master)
        replaced = Step("promoted", master)
        match name:
            case "kill":
                return [dies, replaced, Step("pause", seconds=between(0.1, 0.6)), back]
            case "blink":
                return [dies, Step("pause", seconds=between(0.0, 0.1)), back, replaced]
            case "two_kills":
                # The first death is like any other; the second leaves a minority until the first comes back.
                first, second = Step("kill", master, cause="kill"), Step("kill", SECOND, cause="second_kill")
                pause = Step("pause", seconds=between(0.0, 0.3))
                return [first, replaced, second, pause, back, Step("promoted", SECOND), Step("start", SECOND)]
            case "master_and_leader":
                leader = scene.leader or master
                pause = Step("pause", seconds=between(0.1, 0.5))
                return [dies, Step("kill", leader, cause=name), pause, Step("start", leader), back, replaced]
            case "freeze_kill_thaw":
                other = self._chance.choice([node for node in scene.nodes if node != master])
                silence = Step("pause", seconds=between(0.05, 0.8) * self._net_ticktime_s)
                before = Step("pause", seconds=between(0.0, 0.3))
                return [Step("freeze", other), before, dies, silence, Step("thaw", other), replaced, back]
            case "freeze":
                pause = Step("pause", seconds=between(0.1, 1.0))
                return [Step("freeze", master, cause=name), replaced, pause, Step("thaw", master)]
        cut = Step("cut", master, cause=name)
        if name == "partition_one_way":
            cut = cut._replace(way=self._chance.choice(("out", "in")))
        elif name == "partition_partial":
            cut = cut._replace(other=self._chance.choice([node for node in scene.nodes if node != master]))
        return [cut, replaced, Step("pause", seconds=between(0.1, 1.0)), Step("heal")]
