"""Two sides that both went on become one again (RabbitMQ's autoheal; DESIGN S9).

Decides which side's history goes on: that with most client connections, then most nodes, then by name; and that one
node decides it, as soon as every member can be asked: the first of all by name, or the one that leads it. It must not
know how a history is given up. Where sides stay apart it tells people what they can do.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from broker.cluster.partitions import Parted
    from broker.metadata.shared_tree import SharedTree
    from broker.node.partition_handling import PartitionHandling
    from broker.node.timeline import Timeline
    from broker.vhosts.hall import Hall
    from broker.vhosts.switchboard import Answer

log = logging.getLogger("warren.node")

LOOK_S = 0.5
ANSWER_S = 2.0
KEEP_S = 10.0
"""So long may it take to keep what is in memory only."""
SIDE, YIELD = "side", "yield"


@dataclass(frozen=True, slots=True)
class Side:
    """One history that goes on: who leads it in which epoch, who follows, and how many clients are connected there."""

    leader: str
    epoch: int
    nodes: tuple[str, ...]
    connections: int = 0

    def __str__(self) -> str:
        return f"{' '.join(self.nodes)} ({self.connections} connections)"


def winner_of(sides: Iterable[Side]) -> Side:
    """Whose history goes on."""
    return min(sides, key=lambda side: (-side.connections, -len(side.nodes), min(side.nodes)))


class Autoheal:
    """One per life of a node."""

    def __init__(
        self,
        handling: "PartitionHandling",
        hall: "Hall",
        tree: "SharedTree",
        timeline: "Timeline",
        net_ticktime_s: float,
    ) -> None:
        self._handling = handling
        self._net_ticktime_s = net_ticktime_s
        self._gives_up = False
        self._hall = hall
        self._tree = tree
        self._timeline = timeline
        self._view: set[str] = set()
        self._alone_since_ms = 0
        """Since when, at the earliest, this side has gone on without somebody."""
        self._told: set[str] = set()
        self._decided: Side | None = None
        hall.switchboard.answer(SIDE, self._serve_side)
        hall.switchboard.answer(YIELD, self._serve_yield)

    async def run(self, is_reachable: Callable[[str], bool]) -> None:
        """Look for others, until cancelled. `is_reachable`: whether there is a link to that node."""
        while True:
            await trio.sleep(LOOK_S)
            self._look_at_view()
            parted = self._tree.parted
            self._tell_of(parted)
            if not parted:
                self._decided = None
            elif self._handling.heals(self._tree.voters) and self._decides() and self._sees_all(is_reachable):
                await self._heal(parted)

    def _look_at_view(self) -> None:
        view = set(self._tree.view)
        if not self._view <= view:
            earlier_ms = round(1000 * (self._net_ticktime_s + 2 * LOOK_S))
            self._alone_since_ms = self._hall.switchboard.stamp_ms - earlier_ms
        self._view = view

    def _tell_of(self, parted: "dict[str, Parted]") -> None:
        """Once for each that comes into sight, also where nothing is done about it."""
        news = parted.keys() - self._told
        self._told = set(parted)
        if not news:
            return
        mode = self._handling.in_effect(self._tree.voters)
        text = (
            f"{' and '.join(sorted(news))} went on without node {self._hall.life.node}, and this one without them: "
            f"there are two masters of a queue (partition_handling: {mode})"
        )
        if not self._handling.heals(self._tree.voters):
            text += "; stop the nodes of one side and start them again: what the other does not have is set aside"
        log.warning("event=partition nodes=%s", sorted(news))
        self._timeline.tell("partition", text, nodes=sorted(news), mode=mode)

    def _decides(self) -> bool:
        """The first by name of all members does, or whoever leads it."""
        return self._tree.role == "leader" and min(self._tree.voters) in self._tree.view

    def _sees_all(self, is_reachable: Callable[[str], bool]) -> bool:
        return all(name == self._hall.life.node or is_reachable(name) for name in self._tree.voters)

    async def _heal(self, parted: "dict[str, Parted]") -> None:
        others = {(side.leader, side.epoch): side.view for side in parted.values()}
        sides = [await self._ask(leader, epoch, view) for (leader, epoch), view in sorted(others.items())]
        own = Side(self._hall.life.node, self._tree.epoch, self._tree.view, await self._connections())
        known = [own, *(side for side in sides if side is not None)]
        if None in sides or {name for side in known for name in side.nodes} < self._tree.voters.keys():
            return  # somebody is just changing sides
        winner = winner_of(known)
        losers = [side for side in known if side is not winner]
        if winner != self._decided:
            self._decided = winner
            text = f"{winner} go on, {' and '.join(map(str, losers))} give their history up"
            names = [list(side.nodes) for side in losers]
            log.warning("event=autoheal winner=%s losers=%s", winner, losers)
            self._timeline.tell("autoheal", f"partition: {text}", winner=list(winner.nodes), losers=names)
        own_name = self._hall.life.node
        for name in sorted({name for side in losers for name in side.nodes} - {own_name}):
            await self._call(name, {"do": YIELD, "leader": winner.leader, "epoch": winner.epoch})
        if own is not winner:
            await self._give_up_for(winner.leader, winner.epoch)

    async def _ask(self, leader: str, epoch: int, view: tuple[str, ...]) -> Side | None:
        """None if that side is not what it was any more."""
        fields = await self._call(leader, {"do": SIDE})
        if fields is None or (fields["leader"], fields["epoch"]) != (leader, epoch):
            return None
        return Side(leader, epoch, view, fields["connections"])

    async def _call(self, node: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        with trio.move_on_after(ANSWER_S):
            try:
                answer, _ = await self._hall.switchboard.call(node, fields)
            except PeerLost:
                return None
            return answer
        return None

    async def _connections(self) -> int:
        return await self._hall.roster.count("connections")

    async def _serve_side(self, peer: str, fields: dict[str, Any]) -> "Answer":
        facts = {"leader": self._tree.leader, "epoch": self._tree.epoch, "connections": await self._connections()}
        return facts, b""

    async def _serve_yield(self, peer: str, fields: dict[str, Any]) -> "Answer":
        await self._give_up_for(fields["leader"], fields["epoch"])
        return {}, b""

    async def _give_up_for(self, leader: str, epoch: int) -> None:
        """What is on the disk is compared in the next life; what is not has to be kept now."""
        if (self._tree.leader, self._tree.epoch) != (leader, epoch) and not self._gives_up:
            self._gives_up = True
            with trio.move_on_after(KEEP_S):
                await self._hall.keep_volatile(self._alone_since_ms, f"in a partition this side lost against {leader}")
            self._tree.yield_to(leader, epoch)
            self._gives_up = False
