"""What commands ask of a node over the admin road, answered.

Decides how each request of `warren`'s commands becomes a verb of the hall or a proposal to the tree; the words are
those of the command line's vocabulary. It must not know the command line itself.
"""

from typing import TYPE_CHECKING, Any

from broker.amqp.errors import AmqpException
from broker.cluster.asked import ask, ask_all, ask_each, check_nesting
from broker.cluster.refusal import Refused
from broker.management.definition_import import DefinitionImport
from broker.node.changes import Changes
from broker.node.description import Description
from broker.node.facts import Facts
from broker.node.interventions import Interventions
from broker.node.limits import Limits
from broker.node.masters import Masters
from broker.node.naming import Unknown, queue_of, vhost_of
from broker.node.ranking import Ranking
from broker.peers.links import CUTS, check_cuts
from broker.vhosts import by_hand, portrait
from broker.vhosts.browsing import look_of
from broker.vhosts.replays import wish_of
from broker.vhosts.switchboard import PeerLost
from broker.wire.message import SHORT_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from broker.management.census import Census
    from broker.node.recoveries import Recoveries
    from broker.node.report import Report
    from broker.node.timeline import Timeline
    from broker.peers.links import Links
    from broker.vhosts.hall import Hall

Answer = dict[str, Any]


class Commands:
    """The admin road of one node; before the node has entered the cluster only local questions are answered."""

    def __init__(
        self,
        report: "Report",
        timeline: "Timeline",
        links: "Links | None",
        always: "Mapping[str, Callable[[Answer], Awaitable[Answer]]] | None" = None,
    ) -> None:
        """`always`: further verbs, which are answered also while the node is not in the cluster."""
        self._hall: Hall | None = None
        self._always = always or {}
        self._report = report
        self._timeline = timeline
        self._links = links
        self._local: dict[str, Callable[[Answer], Answer]] = {
            "status": self._status,
            "events": self._events,
            "block": self._block,
            "unblock": self._unblock,
        }
        self._verbs: dict[str, Callable[[Hall, Answer], Awaitable[Answer]]] = {
            "apply": self._apply,
            "publish": self._publish,
            "get": self._get,
            "browse": self._browse,
            "replay": self._replay,
        }
        self._parts: dict[str, Callable[[Answer], Awaitable[Answer]]] = {}

    def serve(self, hall: "Hall", census: "Census", recoveries: "Recoveries | None" = None) -> None:
        """The node has entered the cluster: from now on it answers for the whole of it."""
        self._parts = {
            "facts": Facts(hall, census).answer,
            "top": Ranking(hall).answer,
            **Interventions(hall, census).verbs,
            **Masters(hall, census).verbs,
            **Changes(hall).verbs,
            **Limits(hall.alarms.limits).verbs,
            **Description(hall, census, self._report).verbs,
            **({} if recoveries is None else recoveries.verbs),
        }
        self._hall = hall

    async def answer(self, request: Answer) -> Answer:
        """Answer one request; a refusal is `{"error": text}`, with a `code` for programs if it has one."""
        try:
            check_nesting(request)
            return await self._carry_out(ask(request, "do", str), request)
        except Unknown as unknown:
            return {"error": str(unknown), "code": "not_found"}
        except Refused as refused:
            return {"error": refused.why, "code": refused.code}
        except AmqpException as refused:
            return {"error": refused.why}
        except UnicodeError:  # JSON can carry halves of characters, which are in no name
            return {"error": "a text of the request is no Unicode", "code": "invalid"}
        except PeerLost as lost:
            return {"error": f"node {lost} went away before it answered"}

    async def _carry_out(self, do: str, request: Answer) -> Answer:
        if do in self._local:
            return self._local[do](request)
        if do in self._always:
            return await self._always[do](request)
        if self._hall is None:
            return {"error": self._report.why_not_serving()}
        if do in self._parts:
            return await self._parts[do](request)
        if do in self._verbs:
            return await self._verbs[do](self._hall, request)
        return {"error": f"this node does not know the request {do!r}"}

    # ------------------------------------------------------------------ local

    def _status(self, request: Answer) -> Answer:
        answer = self._report.status(queues=ask(request, "queues", bool, True))
        if "queues" in answer:
            promotions = self._timeline.last_promotions()
            for row in answer["queues"]:
                promotion = promotions.get((row["vhost"], row["name"]))
                row["promotion"] = promotion if promotion is not None and promotion["term"] == row["term"] else None
        return answer

    def _events(self, request: Answer) -> Answer:
        return {"events": self._timeline.since(ask(request, "after_ms", int, 0))}

    def _block(self, request: Answer) -> Answer:
        if self._links is None:
            return {"error": self._report.why_not_serving()}
        peers = ask_each(request, "peers", str)
        check_cuts(peers, self._links.names)
        for peer, cut in peers.items():
            for direction in CUTS[cut]:
                self._links.block(peer, direction)
        self._timeline.tell("partition", f"links cut on purpose: {', '.join(sorted(peers))}")
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

        for vhost in ask_all(request, "vhosts", str, []):
            await put(f"vhost {vhost}", {"do": "put_vhost", "name": vhost})
        for user in ask_all(request, "users", dict, []):
            name = user.get("name")
            permissions: dict[str, list[Any]] = ask_each(user, "permissions", list, {})
            await put(f"user {name}", {**user, "do": "put_user"})
            for vhost, patterns in permissions.items():
                rights = dict(zip(("configure", "write", "read"), patterns, strict=False))
                asked = {"do": "put_permission", "user": name, "vhost": vhost, **rights}
                await put(f"permissions of {name} in {vhost}", asked)
        for operator in (False, True):
            for policy in ask_all(request, "operator_policies" if operator else "policies", dict, []):
                await put(f"policy {policy.get('name')}", {**policy, "do": "put_policy", "operator": operator})
        if "definitions" in request:
            await DefinitionImport(hall, request["definitions"]).run()
            done.append("definitions")
        return {"set": done}

    # ------------------------------------------------------------------ messages by hand

    async def _publish(self, hall: "Hall", request: Answer) -> Answer:
        vhost = vhost_of(hall, request)
        exchange, key = ask(request, "exchange", str, ""), ask(request, "key", str)
        persistent, declare = ask(request, "persistent", bool, False), ask(request, "declare", bool, False)
        bodies = [_body(body) for body in ask_all(request, "bodies", dict)]
        if len(key.encode()) > SHORT_BYTES_MAX:
            raise Refused("invalid", f"publish: key has more than {SHORT_BYTES_MAX} bytes")
        hall.pressure.check()
        if declare:
            await hall.declarations.declare_plain(vhost.name, key)
        return dict(await by_hand.publish(vhost, exchange, key, bodies, persistent=persistent))

    async def _get(self, hall: "Hall", request: Answer) -> Answer:
        handle = queue_of(hall, request)
        count, keep = ask(request, "count", int, 1), ask(request, "keep", bool, False)
        messages, remaining = await by_hand.get(handle, count, keep=keep)
        return {"messages": messages, "remaining": remaining, "paused": handle.record.paused}

    async def _browse(self, hall: "Hall", request: Answer) -> Answer:
        handle = queue_of(hall, request)
        return await hall.browsing.look(handle, look_of(request))

    async def _replay(self, hall: "Hall", request: Answer) -> Answer:
        handle = queue_of(hall, request)
        answer = await hall.replays.replay(handle, wish_of(request))
        if answer["replayed"] and not answer["ways"]:
            text = f"{answer['replayed']} dead letters of queue {handle.record.name} were published again"
            self._timeline.tell("replay", text, queue=handle.record.name, vhost=handle.record.vhost)
        return answer


def _body(shown: Answer) -> bytes:
    try:
        return portrait.decode_body({name: ask(shown, name, str) for name in ("body", "encoding")})
    except ValueError:
        raise Refused("invalid", "publish: a body is neither text nor base64") from None
