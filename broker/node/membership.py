"""Whom this node takes for members, where they are dialled, and what its next life is to begin with.

Decides where that is known from. The cluster's file names the members once, before there is a cluster; from then on
they are what the cluster has committed. That is kept beside the log, in `membership.json`, because links come up
before the log is caught up. The file goes on to say where the nodes listen that it names: their ports may be other
ones at each start. An operator's orders for the next life (reset, force boot) stand in the same file, so that orders
and members change in one step. It must not know how a life carries them out.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import trio

from broker.cluster import schema
from broker.cluster.records import MemberRecord, decode

if TYPE_CHECKING:
    from broker.cluster.watches import Change
    from broker.metadata.shared_tree import SharedTree
    from broker.node.configuration import Cluster
    from broker.peers.introduction import Identity
    from broker.peers.links import Links
    from broker.world.disk import Disk

log = logging.getLogger("warren.node")

NAME = "membership.json"
EARLIER = "there was a life in another data folder: "
"""Before its number, to one whose own is not above it."""
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Orders:
    """What an operator wants of the next life. `forget`: members that it leaves behind, before anything else."""

    reset: bool = False
    force_boot: bool = False
    forget: tuple[str, ...] = ()


NO_ORDERS = Orders()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in the file. `members`: name -> link address; None: none are committed yet, the cluster's file counts."""

    members: Mapping[str, str] | None = None
    orders: Orders = field(default_factory=Orders)

    @classmethod
    async def read(cls, disk: "Disk") -> "Standing":
        """What an earlier life, or an operator, left. Raises OSError; what cannot be read counts as not written."""
        try:
            content = json.loads(await disk.read(NAME))
            orders = content["orders"]
            return cls(content["members"], Orders(orders["reset"], orders["force_boot"], tuple(orders["forget"])))
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError) as error:
            log.error("event=membership_unreadable file=%s why=%r", disk.path_of(NAME), error)
            return cls()

    async def write(self, disk: "Disk") -> None:
        """Keep it, in one step. Raises OSError."""
        content = {"format": FORMAT, "members": self.members, "orders": asdict(self.orders)}
        await disk.replace(NAME, json.dumps(content).encode() + b"\n")


class Membership:
    """The members as one node knows them, over all its lives."""

    def __init__(self, cluster: "Cluster", name: str, disk: "Disk") -> None:
        self.standing = Standing()
        self._name = name
        self._file = {node.name: str(node.link.reachable) for node in cluster.nodes}
        self._disk = disk
        self._tree: SharedTree | None = None
        self._links: Links | None = None
        self._is_current = False
        self._changed = trio.Event()
        self._one_at_a_time = trio.Lock()

    async def load(self) -> None:
        """Read what earlier processes left. Raises OSError."""
        self.standing = await Standing.read(self._disk)

    @property
    def addresses(self) -> dict[str, str]:
        """Name -> where it is dialled, of every member, this node included; empty where nobody knows."""
        if self.standing.members is None:
            return dict(self._file)
        return {name: self._file.get(name) or link for name, link in self.standing.members.items()}

    @property
    def names(self) -> list[str]:
        """The members."""
        return list(self.addresses)

    @property
    def others(self) -> list[str]:
        """The members but for this node."""
        return [name for name in self.names if name != self._name]

    @property
    def is_committed(self) -> bool:
        """Whether they are known from a cluster, not only from its file."""
        return self.standing.members is not None

    def known_address(self, name: str) -> str:
        """Where that node is dialled, member or not; empty if nobody knows."""
        return self.addresses.get(name) or self._file.get(name, "")

    def peers(self, voters: Mapping[str, str]) -> dict[str, str]:
        """Whom to have links with from the start; `voters`: those in the log, some of whom may have no address yet."""
        known = {**dict.fromkeys(voters, ""), **self.addresses}
        return {name: address for name, address in known.items() if name != self._name}

    def objection(self, caller: "Identity", is_peer: bool) -> str | None:
        """Why somebody who dials this node may not come in: for sure only while this node serves. A blank folder counts
        its lives from the time of day on, and clocks go back: then it learns here where to begin."""
        if not is_peer:
            why = disagreement(caller.node, self._name)
            return why if self._is_current else f"{caller.node} is not known here as a member"
        return self._objection_to_life(caller)

    def _objection_to_life(self, caller: "Identity") -> str | None:
        record = schema.member(self._tree.tree, caller.node) if self._is_current and self._tree is not None else None
        if record is not None and record.folder not in ("", caller.folder) and record.life >= caller.life:
            return f"{EARLIER}{record.life}"
        return None

    # ------------------------------------------------------------------ a life

    def follow(self, tree: "SharedTree", links: "Links") -> None:
        """Know from now on what this tree says, as soon as it is up to date, and have links accordingly."""
        self._tree, self._links, self._is_current = tree, links, False
        tree.watch(schema.MEMBERS, self._member_changed)
        tree.on_quorum(self._quorum_changed)

    def leave_life(self) -> None:
        """The life is over: what is known now is not up to date any more."""
        self._tree = self._links = None
        self._is_current = False

    def _quorum_changed(self, there: bool) -> None:
        self._is_current = there
        if there:
            self._take_over()
            self._send_back()

    def _send_back(self) -> None:
        """Who came in while this node could not know better."""
        assert self._links is not None
        for name in self._links.names:
            caller = self._links.identity(name)
            if caller is not None and (why := self._objection_to_life(caller)) is not None:
                self._links.disconnect(name, why)

    def _member_changed(self, change: "Change") -> None:
        if not self._is_current:
            return
        self._take_over()
        if change.old and change.new and self._links is not None:
            old, new = decode(MemberRecord, change.old), decode(MemberRecord, change.new)
            if old.link != new.link and new.name in self._links.names:
                self._links.add_peer(new.name, new.link)

    def _take_over(self) -> None:
        assert self._tree is not None
        assert self._links is not None
        records = schema.members(self._tree.tree)
        if not records:
            return  # it is yet to be founded
        members = {name: record.link or self._file.get(name, "") for name, record in records.items()}
        for name in set(self._links.names) - members.keys():
            self._links.remove_peer(name)
        for name in members.keys() - {*self._links.names, self._name}:
            self._links.add_peer(name, self._file.get(name) or members[name])
        if members != self.standing.members:
            self.standing = replace(self.standing, members=members)
            self._changed.set()

    # ------------------------------------------------------------------ on disk

    async def keep(self) -> None:
        """Write down what the cluster commits, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self._write()
            except OSError as error:  # it only spares the next start some waiting
                log.warning("event=membership_not_written file=%s why=%r", self._disk.path_of(NAME), error.strerror)

    async def order(self, orders: Orders, members: Mapping[str, str] | None = None) -> None:
        """Have the next life begin with these orders, and with these members if some are given. Raises OSError."""
        before = self.standing
        self.standing = Standing(before.members if members is None else dict(members), orders)
        try:
            await self._write()
        except OSError:
            self.standing = before  # who was told that it cannot be done must not see it done
            raise

    async def obeyed(self) -> None:
        """The orders are carried out, and must not be once more. Raises OSError."""
        if self.standing.orders != NO_ORDERS:
            self.standing = replace(self.standing, orders=NO_ORDERS)
            await self._write()

    async def _write(self) -> None:
        async with self._one_at_a_time:  # an order must not be undone by what was under way, nor come back after it
            await self.standing.write(self._disk)


class Disagrees(Exception):
    """This node takes itself for a member of a cluster that has forgotten it."""


def disagreement(thinker: str, dissident: str) -> str:
    """RabbitMQ's words for a node that was forgotten."""
    return f"Node '{thinker}' thinks it's clustered with node '{dissident}', but '{dissident}' disagrees"
