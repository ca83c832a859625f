"""What the HTTP door of a failed node says: why it failed, to everybody who asks, whatever they ask.

Decides status and body. Nobody can log in where there is no tree any more, and load balancers must hear it all the
same; so it answers without asking who it is. It must not know the framework: a failed node loads nothing.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
CHECKS = "/api/health/checks/"


def refusing(reason: str) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """An ASGI application that has only bad news."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        if scope["type"] != "http":
            return
        healthy = {"status": "failed"} if scope["path"].startswith(CHECKS) else {"error": "node_failed"}
        body = json.dumps({**healthy, "reason": reason}, separators=(",", ":")).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return answer


async def _live(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})
