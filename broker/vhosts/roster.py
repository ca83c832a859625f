"""Who is connected: every client of this node, and by calls those of all other nodes.

Decides nothing about clients: it lists, counts and closes them. It must not know doors: whatever serves a client, by
whatever protocol, registers a `Presence`. Rows carry the field names of RabbitMQ's HTTP API.
"""

import re
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import trio

from broker.cluster.arguments import to_plain
from broker.meters.meters import Churn
from broker.vhosts.switchboard import Answer, PeerLost

if TYPE_CHECKING:
    from broker.amqp.channel import Channel
    from broker.meters.traffic import Flow
    from broker.vhosts.guests import Guests
    from broker.vhosts.subscription import Subscription
    from broker.vhosts.switchboard import Switchboard

DEADLINE_S = 1.0
"""A node that has not answered by then is left out."""
CLIENTS_PER_CALL = 200
"""Bounds how long a call for a list keeps the asked node from its messages."""

_PID = re.compile(r"<(.+)\.[0-9]+\.[0-9]+\.0>")

Row = dict[str, Any]
Kind = Literal["connections", "channels", "consumers"]


class Volume(NamedTuple):
    """What went over one connection, or over several together."""

    received_bytes: int = 0
    reads: int = 0
    sent_bytes: int = 0
    writes: int = 0


class Presence(Protocol):
    """One client that has entered a vhost."""

    pid: str
    """Names it in the whole cluster: `<NODE.LIFE.SERIAL.0>`."""
    name: str
    """`HOST:PORT -> HOST:PORT`."""

    @property
    def user_name(self) -> str:
        """Who has logged in."""

    @property
    def vhost_name(self) -> str:
        """Where it works."""

    @property
    def channel_count(self) -> int:
        """How many channels it has open."""

    @property
    def volume(self) -> Volume:
        """What went over its connection so far."""

    def open_channels(self) -> "list[tuple[str, Channel]]":
        """Its channels, with what names each in the whole cluster."""

    def facts(self) -> Row:
        """Its row among the connections."""

    def channel_facts(self) -> list[Row]:
        """The rows of its channels."""

    def consumer_facts(self) -> list[Row]:
        """The rows of its consumers: `consumer_row` each."""

    def channel_names(self, channels: Container[object]) -> "list[tuple[Channel, str]]":
        """Those of these channels that are this client's, and how lists call them."""

    def octets(self) -> tuple[int, int]:
        """The bytes that have come from it, and that went to it."""

    @property
    def pending_bytes(self) -> int:
        """What waits to be sent to it."""

    def flows(self) -> "list[tuple[str, Flow]]":
        """What went through each of its channels, by the channel's pid."""

    def force_close(self, why: str) -> None:
        """Tell it to go (320), and see to it that it does."""


class Roster:
    """The clients of one node; asks the other nodes for theirs."""

    def __init__(
        self,
        switchboard: "Switchboard",
        guests: "Guests",
        peers: Callable[[], Iterable[str]],
        churn: Churn | None = None,
    ) -> None:
        """`peers`: the names of the other running nodes. `churn`: where it is counted who comes and goes."""
        self.presences: dict[str, Presence] = {}
        """By pid."""
        self._entered: dict[str, int] = {}
        """By pid, the number of its entry: lists go on from there."""
        self._entries = 0
        self._churn = churn or Churn()
        self._volume = Volume()
        """Of those that have left."""
        self._left = trio.Event()
        self._switchboard = switchboard
        self._guests = guests
        self._peers = peers
        switchboard.answer("roster", self._serve_rows)
        switchboard.answer("roster_count", self._serve_count)
        switchboard.answer("roster_close", self._serve_close)

    def enter(self, presence: Presence) -> None:
        """A client has entered its vhost."""
        self._entries += 1
        self._churn.connections_opened += 1
        self._entered[presence.pid] = self._entries
        self.presences[presence.pid] = presence

    def leave(self, presence: Presence) -> None:
        """A client has gone, or is about to; it counts no more."""
        self._entered.pop(presence.pid, None)
        if self.presences.pop(presence.pid, None) is not None:
            self._churn.connections_closed += 1
            self._volume = _sum(self._volume, presence.volume)
        self._left.set()
        self._left = trio.Event()

    def volume(self) -> Volume:
        """What went over all connections that there have been."""
        return _sum(self._volume, *(presence.volume for presence in self.presences.values()))

    async def until_empty(self) -> None:
        """Return when no client is there."""
        while self.presences:
            await self._left.wait()

    # ------------------------------------------------------------------ looking

    def _part(self, kind: Kind, after: int) -> Row:
        """The `rows` of the next of this node's clients; `more`: behind which entry the list goes on, 0 at its end."""
        later = dropwhile(lambda entry: entry[1] <= after, self._entered.items())
        some = list(islice(later, CLIENTS_PER_CALL))
        everyone = [self.presences[pid] for pid, _ in some]
        match kind:
            case "connections":
                rows = [presence.facts() for presence in everyone]
            case "channels":
                rows = [row for presence in everyone for row in presence.channel_facts()]
            case "consumers":
                rows = [row for presence in everyone for row in presence.consumer_facts()]
        # All at once: a pair of numbers for each queue that has a single active consumer.
        active = self._guests.active_consumers() if kind == "consumers" and not after else []
        more = some[-1][1] if len(some) == CLIENTS_PER_CALL else 0
        return {"rows": [to_plain(row) for row in rows], "active": active, "more": more}

    async def everywhere(self, kind: Kind) -> list[Row]:
        """The rows of all clients of the cluster; those of nodes that do not answer are missing."""
        rows, _ = await self.survey(kind)
        return rows

    async def survey(self, kind: Kind) -> tuple[list[Row], set[str]]:
        """The rows of all clients of the cluster, and the nodes that have not told theirs in time."""
        rows: list[Row] = []
        active: set[tuple[str, int]] = set()
        silent: set[str] = set()

        async def collect(node: str) -> None:
            after = 0
            while True:
                part = await self._part_of(node, kind, after)
                if part is None:
                    silent.add(node)
                    return
                rows.extend(part["rows"])
                active.update((at, number) for at, number in part["active"])
                after = part["more"]
                if not after:
                    return

        async with trio.open_nursery() as nursery:
            for node in (self._switchboard.node, *self._peers()):
                nursery.start_soon(collect, node)
        rows.sort(key=_place)
        return (rows if kind != "consumers" else _with_activity(rows, active)), silent

    async def _part_of(self, node: str, kind: Kind, after: int) -> Row | None:
        if node == self._switchboard.node:
            await trio.lowlevel.checkpoint()
            return self._part(kind, after)
        return await self._call(node, {"do": "roster", "kind": kind, "after": after})

    async def count(self, kind: Literal["connections", "channels"], *, user: str = "", vhost: str = "") -> int:
        """How many connections or channels a user has, or how many connections a vhost has, in the whole cluster."""
        asked = {"do": "roster_count", "kind": kind, "user": user, "vhost": vhost}
        answers = await self._ask(asked, self._peers())
        there: list[int] = [answer["count"] for answer in answers.values()]
        return self._count(kind, user, vhost) + sum(there)

    def _count(self, kind: str, user: str, vhost: str) -> int:
        meant = [
            presence
            for presence in self.presences.values()
            if (not user or presence.user_name == user) and (not vhost or presence.vhost_name == vhost)
        ]
        return len(meant) if kind == "connections" else sum(presence.channel_count for presence in meant)

    def names_of(self, channels: Container[object]) -> "dict[object, Row]":
        """Whose these channels are: the names of each, of its connection and of the user. All at once: there may be
        thousands of either."""
        return {
            channel: {"channel": name, "connection": presence.name, "user": presence.user_name}
            for presence in self.presences.values()
            for channel, name in presence.channel_names(channels)
        }

    # ------------------------------------------------------------------ closing

    async def close(self, who: str, why: str) -> bool:
        """Close the connection with this pid or name, wherever it is; whether there was one."""
        if self._close(who, why):
            return True
        peers, node = list(self._peers()), _node_of(who)
        among = peers if node is None else [peer for peer in peers if peer == node]
        answers = await self._ask({"do": "roster_close", "who": who, "why": why}, among)
        return any(answer["closed"] for answer in answers.values())

    def close_all(self, why: str, *, user: str = "", vhost: str = "") -> None:
        """Close what this node has of a user or in a vhost."""
        for presence in list(self.presences.values()):
            if presence.user_name == user or presence.vhost_name == vhost:
                presence.force_close(why)

    def _close(self, who: str, why: str) -> bool:
        if _node_of(who) is not None:
            meant = [self.presences[who]] if who in self.presences else []
        else:
            meant = [presence for presence in self.presences.values() if presence.name == who]
        for presence in meant:
            presence.force_close(why)
        return bool(meant)

    # ------------------------------------------------------------------ other nodes

    async def _ask(self, fields: Row, among: Iterable[str]) -> dict[str, Row]:
        """The answers by node; those of nodes that were too slow are missing."""
        answers: dict[str, Row] = {}

        async def ask(peer: str) -> None:
            answer = await self._call(peer, fields)
            if answer is not None:
                answers[peer] = answer

        async with trio.open_nursery() as nursery:
            for peer in among:
                nursery.start_soon(ask, peer)
        return answers

    async def _call(self, peer: str, fields: Row) -> Row | None:
        """One node's answer; None if it is too slow."""
        with trio.move_on_after(DEADLINE_S), suppress(PeerLost):
            answer, _ = await self._switchboard.call(peer, fields)
            return answer
        return None

    async def _serve_rows(self, peer: str, fields: Row) -> Answer:
        return self._part(fields["kind"], fields["after"]), b""

    async def _serve_count(self, peer: str, fields: Row) -> Answer:
        return {"count": self._count(fields["kind"], fields["user"], fields["vhost"])}, b""

    async def _serve_close(self, peer: str, fields: Row) -> Answer:
        return {"closed": self._close(fields["who"], fields["why"])}, b""


def _sum(*volumes: Volume) -> Volume:
    return Volume(*map(sum, zip(*volumes, strict=True)))


def _node_of(pid: str) -> str | None:
    """The node that a pid names; None for what is none."""
    found = _PID.fullmatch(pid)
    return None if found is None else found[1]


def consumer_row(subscription: "Subscription", channel: Row) -> Row:
    """A consumer of a channel with this row, as its node knows it; whether it is the active one its master knows."""
    record = subscription.handle.record
    return {
        "arguments": dict(subscription.arguments),
        "ack_required": subscription.ack_required,
        "active": True,
        "activity_status": "up",
        "channel_details": {
            "connection_name": channel["connection_details"]["name"],
            "peer_host": channel["connection_details"]["peer_host"],
            "peer_port": channel["connection_details"]["peer_port"],
            **{name: channel[name] for name in ("name", "node", "number", "user")},
        },
        "channel_pid": channel["pid"],
        "consumer_tag": subscription.tag,
        "exclusive": subscription.exclusive,
        "prefetch_count": subscription.prefetch_count,
        "queue": {"name": record.name, "vhost": record.vhost},
        "holder": [channel["node"].removeprefix("rabbit@"), subscription.number],
        "single_active": bool(record.arguments.get("x-single-active-consumer")),
    }


def _place(row: Row) -> str:
    """Rows of a node stand together, whichever node was the first to answer."""
    node: str = row["channel_details"]["node"] if "channel_details" in row else row["node"]
    return node


def _with_activity(rows: list[Row], active: set[tuple[str, int]]) -> list[Row]:
    """Say of consumers of queues with a single active one whether they are it."""
    for row in rows:
        node, number = row.pop("holder")
        if row.pop("single_active"):
            row["active"] = (node, number) in active
            row["activity_status"] = "single_active" if row["active"] else "waiting"
    return rows
