"""The HTTP API as an ASGI application: how requests come in, and how answers and refusals look.

Decides methods, headers, sizes and status codes. It must not know sockets (`door`), which paths there are (`routes`)
nor what a resource says. Paths are matched while they are still encoded: the vhost `/` is the component `%2F`.
"""

import base64
import gzip
import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.amqp.errors import AmqpException
from broker.cluster.refusal import Refused
from broker.management import bodies, openapi, reference
from broker.management.arrangement import shaped
from broker.management.bodies import RawBody
from broker.management.counted import CURVES, instants_of
from broker.management.health import Unhealthy
from broker.management.refusals import BadRequest, Forbidden, NotFound, Refusal, Unknown, of_declaration, of_tree
from broker.management.reply import Reply
from broker.management.route import PAGES, SHAPE, Right, Route
from broker.management.routes import ROUTES
from broker.management.serial import serialized
from broker.management.shaping import shape_of
from broker.management.visit import Asked, Command, Visit, log_in
from broker.vhosts.client import User
from broker.vhosts.switchboard import PeerLost

if TYPE_CHECKING:
    from broker.management.census import Census
    from broker.vhosts.hall import Hall

REQUESTS_MAX = 16
"""Answered at a time; others wait, so that tables of queues do not fill the memory."""
BODY_BYTES_MAX: Final = 20 * 1024 * 1024
WRONG_LOGIN_S = 0.5
"""So long whoever names a wrong password waits for the answer."""
GZIP_BYTES_MIN = 2048
NOBODY: Final = User("")
SILENT: Final = "x-warren-silent-nodes"
"""Names the nodes whose share of an answer is missing, because they did not tell it in time."""

HEADERS = {
    "cache-control": "no-cache",
    "vary": "accept, accept-encoding, origin",
    "x-content-type-options": "nosniff",
}
NOTHING_ALLOWED = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
METHODS = ("HEAD", "GET", "PUT", "DELETE", "POST")
"""In the order in which RabbitMQ lists them."""


class Slots:
    """How much is done at a time. Whoever only looks does not wait for what waits for a majority, nor for those who
    have not logged in."""

    def __init__(self) -> None:
        self.strangers = trio.CapacityLimiter(REQUESTS_MAX)
        self.looks = trio.CapacityLimiter(REQUESTS_MAX)
        self.changes = trio.CapacityLimiter(REQUESTS_MAX)


class Desk:
    """Takes the requests for one path."""

    def __init__(
        self,
        routes: Sequence[Route],
        hall: "Hall",
        census: "Census",
        command: Command,
        slots: "Slots",
    ) -> None:
        self._routes = {route.method: route for route in routes}
        if "GET" in self._routes:
            self._routes["HEAD"] = self._routes["GET"]
        self.allowed = ", ".join([*(name for name in METHODS if name in self._routes), "OPTIONS"])
        self._hall = hall
        self._census = census
        self._command = command
        self._slots = slots

    async def answer(self, request: Request) -> Response:
        """Raises Refusal."""
        if request.method == "OPTIONS":
            return _reply(200, b"", {"allow": self.allowed})
        route = self._routes.get(request.method)
        if route is None:
            return _reply(405, b"", {"allow": self.allowed})
        user = NOBODY if route.right is Right.NOBODY else await self._log_in(request)
        if route.method == "GET" and not route.waits:
            async with self._slots.strangers if route.right is Right.NOBODY else self._slots.looks:
                return await self._served(request, route, user)
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise Forbidden("A page of another site may change nothing here")
        with trio.move_on_after(route.patience_s):
            async with self._slots.changes:
                await self._hall.declarations.current()
                return await self._served(request, route, user)
        raise Refusal(503, "unavailable", f"This node has waited {route.patience_s} s for a majority of the cluster")

    async def _log_in(self, request: Request) -> User:
        authorization = request.headers.get("authorization", "")
        peer = request.client.host if request.client is not None else ""
        try:
            return log_in(self._hall, authorization, peer)
        except Unknown:
            if authorization:
                await trio.sleep(WRONG_LOGIN_S)
            raise

    async def _served(self, request: Request, route: Route, user: User) -> Response:
        said = request.query_params.multi_items()
        queries = dict(reversed(said))  # of what is said twice the first counts
        asked = Asked(request.method, request.path_params, queries, request.headers, said)
        visit = Visit(user, asked, self._hall, self._census, self._command)
        visit.check(route.right)
        if SHAPE[0] in route.queries:
            visit.shape = shape_of(queries, pages=PAGES[0] in route.queries)
        if CURVES[0] in route.queries:
            visit.instants = instants_of(queries, self._hall.switchboard.stamp_ms)
        if route.body is not None:
            visit.raw = await _read(request)
            visit.body = None if route.body is RawBody else bodies.check(route.body, bodies.parse(visit.raw))
        try:
            found = route.answer(visit)
            value = await found if inspect.isawaitable(found) else found
            if not isinstance(value, Reply):
                value = Reply(200, await shaped(value, visit.shape))
        except AmqpException as refused:
            raise of_declaration(refused) from None
        except Refused as refused:
            raise of_tree(refused) from None
        except PeerLost as lost:
            raise BadRequest(f"Request to node {lost} failed with nodedown") from None
        return await _packed(request, value, visit.silent)


async def _read(request: Request) -> bytes:
    """The body. Raises BadRequest for one that is too large."""
    parts, size_bytes = [], 0
    try:
        async with aclosing(request.stream()) as stream:
            async for part in stream:
                size_bytes += len(part)
                if size_bytes > BODY_BYTES_MAX:
                    raise Refusal(413, "payload_too_large", f"A request has at most {BODY_BYTES_MAX} bytes")
                parts.append(part)
    except ClientDisconnect:
        raise BadRequest("the connection was closed before the end of the request") from None
    return b"".join(parts)


async def _packed(request: Request, reply: Reply, silent: Collection[str]) -> Response:
    body = b"" if reply.value is None else await serialized(reply.value)
    headers = {SILENT: ", ".join(sorted(silent))} if silent else {}
    headers |= reply.headers
    if len(body) >= GZIP_BYTES_MIN and "gzip" in request.headers.get("accept-encoding", ""):
        body = await trio.to_thread.run_sync(gzip.compress, body, 1)
        headers["content-encoding"] = "gzip"
    return _reply(reply.status, body, headers)


def make_app(hall: "Hall", census: "Census", command: Command) -> ASGIApp:
    """The application of one life of a node."""
    slots = Slots()
    by_path: dict[str, list[Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)
    app = Starlette(
        routes=[
            Path("/", _page(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))),
            Path("/api/index.html", _page(reference.written(ROUTES))),
            Path("/api/openapi.json", _document(openapi.described(ROUTES, hall.server_properties["version"]))),
            *(Path(path, _moved("/api/index.html")) for path in ("/api", "/api/")),
            *(
                Path(path, _Endpoint(Desk(routes, hall, census, command, slots).answer))
                for path, routes in by_path.items()
            ),
        ],
        exception_handlers={Refusal: _refused, Unhealthy: _unhealthy, HTTPException: _no_such_route},
    )
    app.router.redirect_slashes = False
    return _with_encoded_paths(app)


class _Endpoint:
    """A path that looks at the method itself: the framework would not let OPTIONS through."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)


def _with_encoded_paths(app: ASGIApp) -> ASGIApp:
    async def encoded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        await app(scope, receive, send)

    return encoded


def _reply(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    kind = {"content-type": "application/json"} if body else {}
    return Response(body, status, {**kind, **HEADERS, **NOTHING_ALLOWED, **(headers or {})})


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    challenge = {"www-authenticate": 'Basic realm="RabbitMQ Management"'} if isinstance(refusal, Unknown) else None
    body = await serialized({"error": refusal.error, "reason": refusal.reason})
    return _reply(refusal.status, body, challenge)


async def _unhealthy(request: Request, failed: Exception) -> Response:
    assert isinstance(failed, Unhealthy)
    return _reply(503, await serialized(failed.body))


async def _no_such_route(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    if failure.status_code == 404:
        return await _refused(request, NotFound())
    return _reply(failure.status_code, await serialized({"error": failure.detail, "reason": failure.detail}))


def _document(value: Any) -> Callable[[Request], Response]:
    body = json.dumps(value).encode()
    return lambda request: _reply(200, body)


def _moved(target: str) -> Callable[[Request], Response]:
    return lambda request: _reply(301, b"", {"location": target})


def _page(text: str) -> Callable[[Request], Response]:
    """A page; its policy lets nothing run but its own script, nor anybody frame it."""
    allowed = ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    for kind in ("script", "style"):
        for inside in re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            allowed.append(f"{kind}-src 'sha256-{digest}'")
    headers = {**HEADERS, "content-security-policy": "; ".join(allowed)}
    return lambda request: Response(text, 200, headers, "text/html")
