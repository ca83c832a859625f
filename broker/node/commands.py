"""What commands ask of a node over the admin road, answered.

Decides how each request of `warren`'s commands becomes a verb of the hall or a proposal to the tree; the words are
those of the command line's vocabulary. It must not know the command line itself.
"""

from typing import TYPE_CHECKING, Any

from broker.amqp.errors import AmqpException
from broker.cluster import schema
from broker.cluster.refusal import Refused
from broker.vhosts import by_hand
from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from broker.node.facts import Facts
    from broker.node.report import Report
    from broker.node.timeline import Timeline
    from broker.peers.links import Links
    from broker.vhosts.hall import Hall
    from broker.vhosts.handle import Handle

Answer = dict[str, Any]


class Unknown(Exception):
    """What was named is not there; the text says what."""


class Commands:
    """The admin road of one node; before the node has entered the cluster only local questions are answered."""

    def __init__(self, report: "Report", timeline: "Timeline", links: "Links | None") -> None:
        self.hall: Hall | None = None
        self.facts: Facts | None = None
        self._report = report
        self._timeline = timeline
        self._links = links
        self._local: dict[str, Callable[[Answer], Answer]] = {
            "status": self._status,
            "events": lambda request: {"events": self._timeline.since(request.get("after_ms", 0))},
            "block": self._block,
            "unblock": self._unblock,
        }
        self._verbs: dict[str, Callable[[Hall, Answer], Awaitable[Answer]]] = {
            "apply": self._apply,
            "policy_set": self._policy_set,
            "policy_clear": self._policy_clear,
            "policy_list": self._policy_list,
            "sync": self._sync,
            "cancel_sync": self._cancel_sync,
            "promote": self._promote,
            "publish": self._publish,
            "get": self._get,
            "facts": self._facts_of,
        }

    async def answer(self, request: Answer) -> Answer:
        """Answer one request; a refusal is `{"error": text}`, with a `code` for programs if it has one."""
        do = request.get("do", "")
        if do in self._local:
            return self._local[do](request)
        verb = self._verbs.get(do)
        if verb is None:
            return {"error": f"this node does not know the request {do!r}"}
        if self.hall is None:
            return {"error": self._report.why_not_serving()}
        try:
            return await verb(self.hall, request)
        except Unknown as unknown:
            return {"error": str(unknown), "code": "not_found"}
        except Refused as refused:
            return {"error": refused.why, "code": refused.code}
        except AmqpException as refused:
            return {"error": refused.why}
        except PeerLost as lost:
            return {"error": f"node {lost} went away before it answered"}

    # ------------------------------------------------------------------ local

    def _status(self, request: Answer) -> Answer:
        return self._report.status(queues=request.get("queues", True))

    def _block(self, request: Answer) -> Answer:
        if self._links is None:
            return {"error": self._report.why_not_serving()}
        for peer, direction in request["peers"].items():
            for one in ("in", "out") if direction == "both" else (direction,):
                self._links.block(peer, "in" if one == "in" else "out")
        self._timeline.tell("partition", f"links cut on purpose: {', '.join(sorted(request['peers']))}")
        return {}

    def _unblock(self, request: Answer) -> Answer:
        if self._links is None:
            return {"error": self._report.why_not_serving()}
        for peer, directions in self._links.blocked().items():
            for direction in directions:
                self._links.unblock(peer, direction)
        self._timeline.tell("partition", "links mended")
        return {}

    # ------------------------------------------------------------------ policies and other facts

    async def _apply(self, hall: "Hall", request: Answer) -> Answer:
        done: list[str] = []
        tree = hall.tree

        async def put(what: str, asked: Answer) -> None:
            answer = await tree.propose(asked)
            if answer.get("created") or answer.get("changed"):
                done.append(what)

        for vhost in request.get("vhosts", []):
            await put(f"vhost {vhost}", {"do": "put_vhost", "name": vhost})
        for user in request.get("users", []):
            name = user["name"]
            await put(f"user {name}", {**user, "do": "put_user"})
            for vhost, (configure, write, read) in user.get("permissions", {}).items():
                rights = {"configure": configure, "write": write, "read": read}
                asked = {"do": "put_permission", "user": name, "vhost": vhost, **rights}
                await put(f"permissions of {name} in {vhost}", asked)
        for operator in (False, True):
            for policy in request.get("operator_policies" if operator else "policies", []):
                await put(f"policy {policy['name']}", {**policy, "do": "put_policy", "operator": operator})
        return {"set": done}

    async def _policy_set(self, hall: "Hall", request: Answer) -> Answer:
        await hall.tree.propose({"vhost": "/", **request, "do": "put_policy"})
        return {}

    async def _policy_clear(self, hall: "Hall", request: Answer) -> Answer:
        await hall.tree.propose({"vhost": "/", **request, "do": "clear_policy"})
        return {}

    async def _policy_list(self, hall: "Hall", request: Answer) -> Answer:
        tree = hall.tree.tree
        lists: dict[str, list[Any]] = {"policies": [], "operator_policies": []}
        for vhost in schema.vhosts(tree):
            lists["policies"] += [policy.as_json() for policy in schema.policies(tree, vhost.name)]
            imposed = schema.policies(tree, vhost.name, operator=True)
            lists["operator_policies"] += [policy.as_json() for policy in imposed]
        return dict(lists)

    async def _facts_of(self, hall: "Hall", request: Answer) -> Answer:
        assert self.facts is not None
        return await self.facts.answer(request)

    # ------------------------------------------------------------------ copies

    async def _sync(self, hall: "Hall", request: Answer) -> Answer:
        handle = _queue(hall, request, "queue")
        record = handle.record
        if not record.is_mirrored:
            raise Unknown(f"queue {record.name} is not mirrored: a policy with ha-mode would do that")
        if not await hall.synchronise(handle, start=True):
            return {"state": "synchronised"}
        return {"state": "syncing"}

    async def _cancel_sync(self, hall: "Hall", request: Answer) -> Answer:
        handle = _queue(hall, request, "queue")
        return {"state": "cancelled" if await hall.synchronise(handle, start=False) else "not_syncing"}

    async def _promote(self, hall: "Hall", request: Answer) -> Answer:
        handle = _queue(hall, request, "queue")
        record = handle.record
        asked = {"do": "promote", "id": record.id, "node": request["node"].removeprefix("rabbit@")}
        answer = await hall.tree.propose(asked)
        return {"from": record.master.node, "to": answer["master"][0], "missing": 0}

    # ------------------------------------------------------------------ messages by hand

    async def _publish(self, hall: "Hall", request: Answer) -> Answer:
        vhost = _vhost(hall, request)
        exchange, key = request.get("exchange", ""), request["key"]
        if request.get("declare"):
            await hall.declarations.declare_plain(vhost.name, key)
        bodies = [by_hand.decode_body(body) for body in request["bodies"]]
        return dict(await by_hand.publish(vhost, exchange, key, bodies, persistent=request.get("persistent", False)))

    async def _get(self, hall: "Hall", request: Answer) -> Answer:
        handle = _queue(hall, request, "queue")
        messages, remaining = await by_hand.get(handle, request.get("count", 1), keep=request.get("keep", False))
        return {"messages": messages, "remaining": remaining}


def _vhost(hall: "Hall", request: Answer) -> Any:
    name = request.get("vhost", "/")
    vhost = hall.catalogue.vhosts.get(name)
    if vhost is None:
        raise Unknown(f"no vhost '{name}'")
    return vhost


def _queue(hall: "Hall", request: Answer, member: str) -> "Handle":
    vhost = _vhost(hall, request)
    handle: Handle | None = vhost.handles.get(request[member])
    if handle is None:
        raise Unknown(f"no queue '{request[member]}' in vhost '{vhost.name}'")
    return handle
