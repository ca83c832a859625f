"""A process that looks like a node to the supervisor and to commands: it listens, says `ready`, answers the admin road.

`orders` is mastered by the first node that runs; FAKE_NODES, JSON by node name, makes one
misbehave: "crash" ends with code 3 before it is ready, "mute" never says ready, "paused" waits for a majority for ever.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

name, _, config, *rest = sys.argv[1:]
plan = json.loads(os.environ.get("FAKE_NODES", "{}")).get(name, "")
print(f"node {name} starts")
if plan == "crash":  # before the imports, which take longer than everything else here
    print("no space left on device")
    sys.exit(3)

import trio  # noqa: E402

from broker.node.configuration import Cluster, load  # noqa: E402
from broker.peers.introduction import Credentials, Identity  # noqa: E402
from broker.peers.reception import Reception  # noqa: E402
from broker.world.network import TcpNetwork  # noqa: E402


class FakeNode:
    def __init__(self, cluster: Cluster, name: str, blocks: list[str], plan: str) -> None:
        self.cluster = cluster
        self.node = cluster.node(name)
        self.blocks = blocks
        self.plan = plan

    # What all nodes of the cluster share stands in files, so that it does not matter which of them is asked.

    @property
    def policies(self) -> list[dict]:
        return self.read("policies")

    @policies.setter
    def policies(self, value: list[dict]) -> None:
        self.write("policies", value)

    @property
    def messages(self) -> list[dict]:
        return self.read("messages")

    @messages.setter
    def messages(self, value: list[dict]) -> None:
        self.write("messages", value)

    def read(self, name: str) -> list[dict]:
        path = self.cluster.run_folder / f"fake_{name}.json"
        return json.loads(path.read_text()) if path.exists() else []

    def write(self, name: str, value: list[dict]) -> None:
        """In one step: others read it at any time."""
        new = self.cluster.run_folder / f"fake_{name}.{self.node.name}"
        new.write_text(json.dumps(value))
        new.rename(self.cluster.run_folder / f"fake_{name}.json")

    @property
    def members(self) -> dict[str, dict]:
        """As in `status`; `retired` are no voters any more."""
        names = self.read("members") or list(self.cluster.names)
        retired, living = self.read("retired"), self.living()
        return {
            name: {"link": "", "running": name in living, "voter": name not in retired, "leaving": name in retired}
            for name in names
        }

    def living(self) -> list[str]:
        run = json.loads((self.cluster.run_folder / "run.json").read_text())
        return [name for name, node in run["nodes"].items() if node["pid"]]

    async def answer(self, request: dict) -> dict:
        return getattr(self, "do_" + request["do"], self.unknown)(request)

    # One file with three messages, of which the last cannot be replayed but into a queue that is named.

    def do_recovered_list(self, request: dict) -> dict:
        row = {"node": "n2", "file": "orders-n2-1.jsonl", "vhost": "/", "queue": "orders", "queue_id": 7, "messages": 3}
        return {"files": [{**row, "why": "in a partition", "stamp_ms": 1_700_000_000_000}], "silent": ["n3"]}

    def do_recovered_show(self, request: dict) -> dict:
        everything = [
            {"exchange": "", "key": "orders", "properties": {}, "body": "first", "encoding": "utf8"},
            {"exchange": "logs", "key": "a.b", "properties": {"priority": 1}, "body": "/wA=", "encoding": "base64"},
            {"exchange": "logs", "key": "a.c", "properties": {}, "body": "third", "encoding": "utf8"},
        ]
        after = request["after"]
        return {"messages": everything[after : after + 1][: request["count"]], "remaining": 2 - after}

    def do_recovered_replay(self, request: dict) -> dict:
        if request["file"] != "orders-n2-1.jsonl":
            return {"error": f"no node has a recovery file {request['file']} (not asked: n3)"}
        if request["queue"]:
            return {"confirmed": 3, "kept": 0, "why": {}, "silent": ["n3"]}
        return {"confirmed": 2, "kept": 1, "why": {"no queue takes them": 1}, "silent": []}

    def do_recovered_drop(self, request: dict) -> dict:
        return {"messages": 3}

    def unknown(self, request: dict) -> dict:
        return {"error": f"this node does not know the request {request['do']!r}"}

    def do_status(self, request: dict) -> dict:
        living = self.living()
        mirrors = [name for name in living if name != living[0]]
        paused = self.plan == "paused"
        answer = {
            "node": self.node.name,
            "cluster": self.cluster.name,
            "state": "paused" if paused else "running",
            "reason": "1 of 3 nodes is reachable, 2 are needed" if paused else None,
            "members": self.members,
            "waiting_for": ["n9"] if paused else [],
            "pid": os.getpid(),
            "life": 1,
            "role": "leader" if self.node.name == living[0] else "follower",
            "epoch": 1,
            "amqp": str(self.node.amqp),
            "http": str(self.node.http),
            "link": str(self.node.link),
            "uptime_s": 1.5,
            "memory_bytes": 50_000_000,
            "cut_from": [block.partition(":")[0] for block in self.blocks],
            "parted_from": [],
        }
        if request.get("queues", True):
            answer["queues"] = [
                {
                    "vhost": "/",
                    "name": "orders",
                    "type": "classic",
                    "master": living[0],
                    "mirrors": mirrors,
                    "in_sync": mirrors,
                    "term": 1,
                    "state": "running",
                    "reason": None,
                    "policy": "ha-all",
                    "operator_policy": None,
                    "durable": True,
                    "exclusive": False,
                    "unsynchronised": {},
                    "sync_messages": None,
                    "sync_percent": None,
                    "promotion": None,
                    "messages": len(self.messages) if living[0] == self.node.name else None,
                    "messages_ready": len(self.messages) if living[0] == self.node.name else None,
                    "message_bytes": None,
                }
            ]
        return answer

    def do_apply(self, request: dict) -> dict:
        fresh = [policy["name"] for policy in request.get("policies", ()) if policy not in self.policies]
        self.policies += [policy for policy in request.get("policies", ()) if policy["name"] in fresh]
        return {"set": [f"policy {name}" for name in fresh]}

    def do_drain(self, request: dict) -> dict:
        return {"node": request["node"], "changed": True, "staying": []}

    def change_members(self, do: str, node: str) -> dict:
        members, retired = list(self.members), self.read("retired")
        self.write("members", [*(name for name in members if name != node), *([] if do == "forget_member" else [node])])
        self.write("retired", [*(name for name in retired if name != node), *([node] if do == "retire_member" else [])])
        return {}

    def do_change(self, request: dict) -> dict:
        if request["request"]["do"].endswith("_member"):
            return self.change_members(request["request"]["do"], request["request"]["node"])
        asked = {key: value for key, value in request["request"].items() if key not in ("do", "operator")}
        kept = [policy for policy in self.policies if policy["name"] != asked["name"]]
        if request["request"]["do"] == "put_policy":
            self.policies = [*kept, asked]
        elif len(kept) == len(self.policies):
            return {"error": f"there is no policy {asked['name']} in vhost {asked['vhost']}"}
        else:
            self.policies = kept
        return {}

    def do_facts(self, request: dict) -> dict:
        known = {"policies": self.policies, "vhosts": [{"name": "/"}], "users": [{"name": "guest"}]}
        return {"rows": known.get(request["kind"], []), "silent": []}

    def do_publish(self, request: dict) -> dict:
        if request["key"] != "orders":
            return {"published": 0, "unroutable": len(request["bodies"]), "refused": 0}
        self.messages += request["bodies"]
        return {"published": len(request["bodies"]), "unroutable": 0, "refused": 0}

    def do_get(self, request: dict) -> dict:
        taken, rest = self.messages[: request["count"]], self.messages[request["count"] :]
        if not request["keep"]:
            self.messages = rest
        extra = {"exchange": "", "key": "orders", "redelivered": False, "properties": {}}
        return {"messages": [{**body, **extra} for body in taken], "remaining": len(rest), "paused": False}

    def do_replay(self, request: dict) -> dict:
        """Five dead letters, two a request, of which one cannot go."""
        after = request.get("after", 0)
        count = min(2, 5 - after, request.get("limit", 2))
        dry = [{"exchange": "orders", "keys": ["new", "c\x1bc"], "queues": ["work"], "messages": count}]
        kept = {"no queue takes them": 1} if after + count == 5 else {}
        answer = {"scanned": count, "matched": count, "replayed": count - len(kept), "kept": kept, "upto": 5}
        ways = dry if request["dry_run"] else []
        return {**answer, "ways": ways, "next": after + count if after + count < 5 else None}

    def do_top(self, request: dict) -> dict:
        """Its first answer knows no rates."""
        looks = self.read("looks")
        self.write("looks", [*looks, request])
        row = next(iter(self.do_status({"queues": True})["queues"]))
        rates = {"in_rate": 12.0, "out_rate": 2.5} if looks else {"in_rate": None, "out_rate": None}
        counts = dict.fromkeys(("messages", "messages_ready", "messages_unacknowledged", "consumers"), 1234)
        rows = [
            {"sync_percent": None, **row, **counts, **rates, "name": name}
            for name in ("orders", "old.orders", "\x1b[2Jbad")
        ]
        rows[0] |= {"in_sync": [], "unsynchronised": {"n2": 7}}
        nothing = dict.fromkeys(counts)
        waiting = [rows[0] | nothing | {"name": "lost", "state": "waiting", "master": None, "mirrors": None}]
        found = [one for one in rows if request["filter"] in one["name"]][: request["limit"]]
        totals = {"queues": 3, "messages": 3702, "matching": len(found), **rates}
        return {"rows": found, "waiting": waiting, "waiting_count": 1, "nodes": {"n1": totals}, "silent": ["n3"]}

    def do_browse(self, request: dict) -> dict:
        """Five messages, of which one look passes over two."""
        extra = {"exchange": "", "key": "orders", "redelivered": False, "properties": {}, "stamp_ms": 0}
        texts = [("one", "utf8"), ("\x1b[2J two", "utf8"), ("/wA=", "base64"), ("four", "utf8"), ("five", "utf8")]
        sights = [
            {"position": at, "state": "ready", "holder": None, "body": body, "encoding": encoding, **extra}
            for at, (body, encoding) in enumerate(texts, 1)
        ]
        holder = {"node": "n1", "consumer_tag": "c", "channel": "here (1)", "connection": "here", "user": "guest"}
        sights[3] |= {"state": "unacked", "holder": holder, "properties": {"priority": 3}, "redelivered": True}
        behind = [one | {"body_bytes": 4, "truncated": one["position"] == 5} for one in sights[request["after"] :]]
        passed = behind[request["offset"] :][: min(2, request["limit"])]
        found = [one for one in passed if request["search"] is None or request["search"] in one["body"]]
        at = passed[-1]["position"] if passed else 5
        counts = {"scanned": len(passed), "messages_ready": 4, "messages_unacknowledged": 1}
        return {"messages": found, "next": at if at < 5 else None, **counts}

    def do_pause_queue(self, request: dict) -> dict:
        if request["queue"] != "orders":
            return {"error": f"no queue '{request['queue']}' in vhost '/'", "code": "not_found"}
        return {"changed": request["paused"]}

    def do_sync(self, request: dict) -> dict:
        return {"state": "synchronised"}

    def do_cancel_sync(self, request: dict) -> dict:
        return {"state": "not_syncing"}

    def do_promote(self, request: dict) -> dict:
        if request["node"] == "n3":
            return {"from": "n1", "to": "n3", "missing": None}
        return {"error": f"queue {request['queue']} has a master"}

    def do_events(self, request: dict) -> dict:
        living = self.living()
        events = []
        if living[0] != self.cluster.names[0]:
            events.append(
                {
                    "id": f"promotion-{living[0]}",
                    "stamp_ms": int(time.time() * 1000),
                    "node": living[0],
                    "kind": "promotion",
                    "text": f"queue orders: {living[0]} promoted",
                    "queue": "orders",
                    "from": self.cluster.names[0],
                    "to": living[0],
                    "ms": 7,
                    "missing": 0,
                }
            )
        return {"events": [event for event in events if event["stamp_ms"] > request["after_ms"]]}

    def do_block(self, request: dict) -> dict:
        self.blocks = [f"{peer}:{direction}" for peer, direction in request["peers"].items()]
        return {}

    def do_unblock(self, request: dict) -> dict:
        self.blocks = []
        return {}

    async def run(self) -> None:
        listener = await TcpNetwork().listen(str(self.node.link))
        me = Identity(self.node.name, 1, "fake")
        credentials = Credentials(me, cluster=self.cluster.name, cookie=self.cluster.cookie)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Reception(credentials, {}, {}, tls=None, admin=self.answer).run, listener)
            if self.plan != "mute":
                print(f"ready amqp={self.node.amqp} http={self.node.http} link={self.node.link}")
            with trio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    print("stopping")
                    nursery.cancel_scope.cancel()


def main() -> None:
    trio.run(FakeNode(load(Path(config)), name, [word for word in rest if word != "--block"], plan).run)


if __name__ == "__main__":
    main()
