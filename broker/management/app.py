"""The HTTP API as an ASGI application: which path is which resource, and how answers and refusals look.

Decides paths, methods, headers and status codes. It must not know sockets (`door`) nor what a resource says. Paths are
matched while they are still encoded: the vhost `/` is the component `%2F`.
"""

import base64
import hashlib
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from broker.management import bindings, clients, exchanges, health, nodes, overview, policies, queues, vhosts, whoami
from broker.management.health import Unhealthy
from broker.management.listing import listed
from broker.management.visit import NotFound, Refusal, Unknown, Visit, log_in

if TYPE_CHECKING:
    from broker.management.census import Census
    from broker.vhosts.hall import Hall

Resource = Callable[[Visit], Any]

CHECKS = "/api/health/checks"
RESOURCES: dict[str, Resource] = {
    "/api/overview": overview.show,
    "/api/whoami": whoami.show,
    "/api/nodes": nodes.listed,
    "/api/nodes/{name}": nodes.single,
    "/api/vhosts": vhosts.listed,
    "/api/queues": listed(queues.listing),
    "/api/queues/{vhost}": listed(queues.listing),
    "/api/queues/{vhost}/{name}": queues.single,
    "/api/exchanges": listed(exchanges.listing),
    "/api/exchanges/{vhost}": listed(exchanges.listing),
    "/api/bindings": listed(bindings.listing),
    "/api/bindings/{vhost}": listed(bindings.listing),
    "/api/connections": clients.visible(clients.connections),
    "/api/connections/{name}": clients.connection,
    "/api/connections/{name}/channels": clients.channels_of_connection,
    "/api/vhosts/{vhost}/connections": clients.visible(clients.connections),
    "/api/channels": clients.visible(clients.channels),
    "/api/channels/{name}": clients.channel,
    "/api/vhosts/{vhost}/channels": clients.visible(clients.channels),
    "/api/consumers": clients.visible(clients.consumers),
    "/api/consumers/{vhost}": clients.visible(clients.consumers),
    "/api/policies": listed(policies.listing),
    "/api/policies/{vhost}": listed(policies.listing),
    f"{CHECKS}/alarms": health.alarms,
    f"{CHECKS}/local-alarms": health.local_alarms,
    f"{CHECKS}/partitions": health.partitions,
    f"{CHECKS}/port-listener/{{port}}": health.port_listener,
    f"{CHECKS}/protocol-listener/{{protocol}}": health.protocol_listener,
    f"{CHECKS}/virtual-hosts": health.virtual_hosts,
    f"{CHECKS}/node-is-mirror-sync-critical": health.mirror_sync_critical,
}
METHODS = ("GET", "HEAD", "OPTIONS")
REQUESTS_MAX = 16
"""Answered at a time; others wait, so that tables of queues do not fill the memory."""

HEADERS = {
    "cache-control": "no-cache",
    "vary": "accept, accept-encoding, origin",
    "x-content-type-options": "nosniff",
}
NOTHING_ALLOWED = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}


def make_app(hall: "Hall", census: "Census") -> ASGIApp:
    """The application of one life of a node."""
    slots = trio.CapacityLimiter(REQUESTS_MAX)

    def serve(resource: Resource) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if request.method == "OPTIONS":
                return _reply(None, headers={"allow": ", ".join(METHODS)})
            peer = request.client.host if request.client is not None else ""
            user = log_in(hall, request.headers.get("authorization", ""), peer)
            async with slots:
                found = resource(Visit(user, request.path_params, hall, census))
                return _reply(await found if inspect.isawaitable(found) else found)

        return answer

    app = Starlette(
        routes=[
            Route("/", _page(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))),
            *(Route(path, serve(resource), methods=METHODS) for path, resource in RESOURCES.items()),
        ],
        exception_handlers={Refusal: _refused, Unhealthy: _unhealthy, HTTPException: _no_such_route},
    )
    app.router.redirect_slashes = False
    return _with_encoded_paths(app)


def _with_encoded_paths(app: ASGIApp) -> ASGIApp:
    async def encoded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        await app(scope, receive, send)

    return encoded


def _reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = b"" if value is None else json.dumps(value, separators=(",", ":")).encode()
    return Response(body, status, {**HEADERS, **NOTHING_ALLOWED, **(headers or {})}, "application/json")


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    challenge = {"www-authenticate": 'Basic realm="RabbitMQ Management"'} if isinstance(refusal, Unknown) else None
    return _reply({"error": refusal.error, "reason": refusal.reason}, refusal.status, challenge)


def _unhealthy(request: Request, failed: Exception) -> Response:
    assert isinstance(failed, Unhealthy)
    return _reply(failed.body, 503)


def _no_such_route(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    if failure.status_code == 404:
        return _refused(request, NotFound())
    error = {"error": failure.detail, "reason": failure.detail}
    return _reply(error, failure.status_code, {"allow": ", ".join(METHODS)} if failure.status_code == 405 else None)


def _page(text: str) -> Callable[[Request], Response]:
    """The status page; its policy lets nothing run but the page's own script, nor anybody frame it."""
    allowed = ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    for kind in ("script", "style"):
        for inside in re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
            allowed.append(f"{kind}-src 'sha256-{digest}'")
    headers = {**HEADERS, "content-security-policy": "; ".join(allowed)}
    return lambda request: Response(text, 200, headers, "text/html")
