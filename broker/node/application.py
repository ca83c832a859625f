"""What an operator does to the life in a process that stays: stop_app and start_app, and what may be done in between.

Decides what has to be at rest for what, and what becomes of the data folder: `reset` leaves the cluster and forgets
everything, `join_cluster` does so and then waits for another cluster to fill it, `force_boot` lets the next life go on
without the others. Texts of refusals are RabbitMQ's. It must not know how a life begins or ends.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster.asked import ask
from broker.cluster.refusal import Refused
from broker.node.certificates import contexts_of
from broker.node.membership import NO_ORDERS, Orders, disagreement
from broker.peers.admin import NoAnswer, ask_once
from broker.storage.wiping import wipe

if TYPE_CHECKING:
    from broker.node.node import Node

Answer = dict[str, Any]

PEER_TIMEOUT_S = 10.0

NO_ONLINE_NODES = "You cannot leave a cluster if no online nodes are present."
NOT_LISTED = "The nodes provided do not have this node as part of the cluster."
NOT_A_MEMBER = "The node selected is not in the cluster."
OTHERS_RUN = (
    "To remove a node remotely from an offline node, the node you are removing from must be a disc node and all the "
    "other nodes must be offline."
)


class Application:
    """The switch of one node. `closing` is set when no life is wanted any more."""

    def __init__(self, node: "Node") -> None:
        self.closing = trio.Event()
        self._node = node
        self._wanted = trio.Event()
        self._wanted.set()
        self._one_at_a_time = trio.Lock()
        """Who changes what the next life begins with: it does not begin in the middle of that."""
        self.verbs: Mapping[str, Callable[[Answer], Awaitable[Answer]]] = {
            "stop_app": self._stop,
            "start_app": self._start,
            "shutdown": self._shut_down,
            "reset": self._at_rest(self._reset),
            "force_reset": self._at_rest(self._force_reset),
            "join_cluster": self._at_rest(self._join_cluster),
            "update_cluster_nodes": self._at_rest(self._update_cluster_nodes),
            "force_boot": self._at_rest(self._force_boot),
            "forget_offline": self._at_rest(self._forget_offline),
        }

    @property
    def is_wanted(self) -> bool:
        """Whether there is to be a life."""
        return self._wanted.is_set()

    def close(self) -> None:
        """The process is told to stop."""
        self.closing.set()
        self._wanted.set()

    async def rest_until_wanted(self) -> None:
        """Return when somebody wants a life, or the process is to stop."""
        await self._wanted.wait()
        if not self._node.stopping.is_set():
            self.closing = trio.Event()

    def fail(self) -> None:
        """The life has ended by itself, and there will be none before somebody wants one."""
        self._wanted = trio.Event()

    # ------------------------------------------------------------------ answered at once; `status` tells the rest

    async def _stop(self, _: Answer) -> Answer:
        await trio.lowlevel.checkpoint()
        report = self._node.report
        if self.is_wanted:
            self._wanted = trio.Event()
            self.closing.set()
        elif report.failure:
            report.failure, report.stopped = "", self._words()
        return {}

    async def _start(self, _: Answer) -> Answer:
        async with self._one_at_a_time:
            self._wanted.set()
        return {}

    async def _shut_down(self, _: Answer) -> Answer:
        await trio.lowlevel.checkpoint()
        self._node.stop()
        return {}

    def _words(self) -> str:
        return f"the broker was stopped by stop_app: `warren ctl -n {self._node.name} start_app` starts it"

    def note_rest(self) -> None:
        """The life that was told to stop has ended."""
        self._node.report.stopped = self._words()

    # ------------------------------------------------------------------ at rest only

    def _at_rest(self, verb: Callable[[Answer], Awaitable[Answer]]) -> Callable[[Answer], Awaitable[Answer]]:
        async def carry_out(request: Answer) -> Answer:
            report = self._node.report
            async with self._one_at_a_time:
                if self.is_wanted or not (report.stopped or report.failure):
                    raise Refused("running", f"the broker on {self._node.name} runs: stop_app stops it")
                try:
                    return await verb(request)
                except OSError as error:
                    why = f"{error.filename or 'the data folder'}: {error.strerror or error}"
                    raise Refused("disk", why) from error

        return carry_out

    async def _reset(self, _: Answer) -> Answer:
        await self._leave()
        return await self._force_reset({})

    async def _force_reset(self, _: Answer) -> Answer:
        await self._forget_everything({self._node.name: self._address})
        return {}

    async def _join_cluster(self, request: Answer) -> Answer:
        """`target`: a running member of that cluster; `address`: where it is dialled, if the command knows it."""
        node, target = self._node, ask(request, "target", str)
        if target == node.name:
            raise Refused("itself", f"cannot cluster node with itself: {target}")
        address = self._address_of(request, target)
        if target in node.membership.others and not node.report.failure:
            there = await self._ask(target, address, {"do": "status", "queues": False})
            if node.name not in there.get("members", {}):
                raise Refused("inconsistent", disagreement(node.name, target))
            return {"already": True}
        await self._leave()
        change = {"do": "add_member", "node": node.name, "link": self._address}
        joined = await self._ask(target, address, {"do": "change", "request": change})
        if joined["life"] and not joined["created"]:
            raise Refused("inconsistent", disagreement(target, node.name))
        members = {**joined["members"], target: joined["members"].get(target) or address}
        await self._forget_everything(members)
        return {"already": False}

    async def _update_cluster_nodes(self, request: Answer) -> Answer:
        node, seed = self._node, ask(request, "target", str)
        if seed == node.name:
            raise Refused("itself", f"cannot cluster node with itself: {seed}")
        address = self._address_of(request, seed)
        there = await self._ask(seed, address, {"do": "status", "queues": False})
        members = {name: facts["link"] for name, facts in there.get("members", {}).items()}
        if node.name not in members:
            raise Refused("inconsistent", NOT_LISTED)
        await node.membership.order(node.membership.standing.orders, members)
        return {"members": list(members)}

    async def _force_boot(self, _: Answer) -> Answer:
        await self._order(force_boot=True)
        return {}

    async def _forget_offline(self, request: Answer) -> Answer:
        node, gone = self._node, ask(request, "node", str)
        orders = node.membership.standing.orders
        if gone not in node.membership.others or gone in orders.forget:
            raise Refused("not_found", NOT_A_MEMBER)
        for name in node.membership.others:
            if await self._is_running(name):
                raise Refused("others_run", OTHERS_RUN)
        await self._order(force_boot=True, forget=(*orders.forget, gone))
        return {}

    async def _order(self, **changes: Any) -> None:
        membership = self._node.membership
        await membership.order(replace(membership.standing.orders, **changes))

    async def _forget_everything(self, members: dict[str, str]) -> None:
        """The order is durable before anything is gone: a kill in between does not leave half of a past."""
        node = self._node
        await node.membership.order(Orders(reset=True), members)
        await wipe(node.disk)
        await node.healing.forget()
        await node.membership.order(NO_ORDERS)
        node.report.failure, node.report.stopped = "", self._words()
        node.suspects.clear()
        node.timeline.tell("member", f"node {node.name} was reset")

    # ------------------------------------------------------------------ the others

    async def _leave(self) -> None:
        """Have a running member take this node off the list. Raises Refused if there is none, or it refuses."""
        node = self._node
        if not node.membership.others or not node.membership.is_committed:
            return
        change = {"do": "forget_member", "node": node.name, "gone": True}
        for name in node.membership.others:
            if await self._is_running(name):
                try:
                    address = node.membership.addresses[name]
                    await self._ask(name, address, {"do": "change", "request": change})
                except Refused as refused:
                    if refused.code != "not_found":  # it was forgotten before
                        raise
                return
        raise Refused("nobody", NO_ONLINE_NODES)

    def _address_of(self, request: Answer, name: str) -> str:
        """Where that node is dialled, as the command knows it, or as this node does. Raises Refused."""
        address = ask(request, "address", str, "") or self._node.membership.known_address(name)
        if not address:
            raise Refused("not_found", f"nobody here knows where {name} is dialled: name it in cluster.yaml")
        return address

    async def _is_running(self, name: str) -> bool:
        address = self._node.membership.known_address(name)
        try:
            status = await self._ask(name, address, {"do": "status", "queues": False}) if address else {}
        except Refused:
            return False
        return bool(status.get("state") == "running")

    async def _ask(self, name: str, address: str, request: Answer) -> Answer:
        node = self._node
        contexts = contexts_of(node.cluster.tls)
        try:
            answer = await ask_once(
                node.world.network,
                address,
                request,
                cluster=node.cluster.name,
                cookie=node.cluster.cookie,
                timeout_s=PEER_TIMEOUT_S,
                tls=None if contexts is None else contexts.dialler,
            )
        except NoAnswer as reason:
            raise Refused("unreachable", f"{name} does not answer: {reason}") from None
        if "error" in answer:
            raise Refused(str(answer.get("code", "")), str(answer["error"]))
        return answer

    @property
    def _address(self) -> str:
        node = self._node
        return node.config.link.announced(node.report.link)
