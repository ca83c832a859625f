"""Somebody who visits the HTTP API without a socket: the application is called as hypercorn would call it."""

import base64
import json


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def no_command(request):
    raise AssertionError(f"nobody carries out {request}")


class Answer:
    def __init__(self, messages):
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def json(self):
        return json.loads(self.body)


class Browser:
    def __init__(self, app, peer="127.0.0.1"):
        self._app = app
        self._peer = peer
        self.authorization = basic("guest", "guest")

    async def ask(self, path, method="GET", body=b"", **headers):
        """The path stands as on the wire; it begins with /api unless it begins with a slash. A body that is no bytes is
        sent as JSON."""
        path, _, query = (path if path.startswith("/") else f"/api/{path}").partition("?")
        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if self.authorization is not None:
            lines.append((b"authorization", self.authorization.encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": "what a server decodes is not looked at",
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": lines,
            "client": (self._peer, 50000),
        }
        messages = []

        async def receive():
            return {"type": "http.request", "body": body if isinstance(body, bytes) else json.dumps(body).encode()}

        async def send(message):
            messages.append(message)

        await self._app(scope, receive, send)
        return Answer(messages)

    async def json(self, path):
        answer = await self.ask(path)
        assert answer.status == 200, answer.body
        return answer.json


class FakeFacts:
    """What `broker.node.report.Report` says of a node."""

    def __init__(self, node):
        self._node = node
        self.parted_from = []
        self.certificates = []
        self.per_object_metrics = False

    def status(self, *, queues):
        assert not queues
        return {
            "node": self._node,
            "state": "running",
            "pid": 42,
            "life": 1,
            "role": "leader" if self._node == "n1" else "follower",
            "epoch": 1,
            "amqp": "127.0.0.1:5672",
            "http": "127.0.0.1:15672",
            "link": "[::1]:25672",
            "uptime_s": 1.5,
            "memory_bytes": 1000,
            "cut_from": [],
            "parted_from": self.parted_from,
            "fsync": "always",
            "net_ticktime_s": 5.0,
            "per_object_metrics": self.per_object_metrics,
        }

    def told(self):
        return {
            "data_folder": f"/data/{self._node}",
            "config_file": "/cluster.yaml",
            "certificates": self.certificates,
            "settings": {},
        }
