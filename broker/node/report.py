"""What a node says of itself: its state, role, addresses, and the queues as it sees them.

Decides the words of `warren status` and of a paused node's log. It must not change anything.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import trio

from broker.cluster import schema
from broker.node.membership import disagreement
from broker.node.queue_rows import row_of
from broker.vhosts.properties import PRODUCT_VERSION, platform_text
from broker.world.process import announce, cpu_cores, process_id, resident_bytes

if TYPE_CHECKING:
    from broker.metadata.shared_tree import SharedTree
    from broker.node.configuration import Cluster, Node
    from broker.node.healing import Healing
    from broker.node.membership import Membership
    from broker.peers.links import Links
    from broker.vhosts.hall import Hall


class Report:
    """The facts of one process; a new life fills in its parts as they come up."""

    def __init__(
        self,
        cluster: "Cluster",
        node: "Node",
        membership: "Membership",
        healing: "Healing | None" = None,
    ) -> None:
        self._cluster = cluster
        self._node = node
        self._membership = membership
        self._healing = healing
        self._started_at: float | None = None
        self.life = 0
        self.failure = ""
        """Why this node cannot go on, if it cannot."""
        self.ending = ""
        """Why this life is about to end, if its disk has failed."""
        self.stopped = ""
        """Why there is no life, if an operator has stopped it while the process stays."""
        self.amqp = str(node.amqp)
        self.amqps = None if node.amqps is None else str(node.amqps)
        self.http = str(node.http)
        self.https = None if node.https is None else str(node.https)
        self.link = str(node.link)
        self.tree: SharedTree | None = None
        self.links: Links | None = None
        self.hall: Hall | None = None

    # ------------------------------------------------------------------ what a life fills in

    def begin_life(self, life: int, link: str) -> None:
        """A life has begun to listen for its peers."""
        self.life = life
        self.link = link
        if self._started_at is None:
            self._started_at = trio.current_time()

    def join(self, links: "Links", tree: "SharedTree") -> None:
        """It looks for its cluster."""
        self.links = links
        self.tree = tree

    def open(self, hall: "Hall", amqp: str) -> None:
        """Clients are served; whoever started this process waits for that line."""
        self.hall = hall
        self.amqp = amqp
        doors = {"amqp": amqp, "amqps": self.amqps, "http": self.http, "https": self.https, "link": self.link}
        announce(" ".join(["ready", *(f"{door}={address}" for door, address in doors.items() if address is not None)]))

    def close(self, why: str = "") -> None:
        """Clients are not served any more; `why` if the disk has failed."""
        self.hall = None
        self.ending = why

    def fail(self, why: str) -> None:
        """This node does not go on."""
        self.failure = why
        announce(f"failed {why}")
        self.forget_life()

    def forget_life(self) -> None:
        """The life is over."""
        self.close()
        self.links = None
        self.tree = None

    # ------------------------------------------------------------------ the node

    @property
    def state(self) -> str:
        """`running` when clients are served, `paused` without a majority, `failed` without a working disk or a place
        in the cluster, `stopped` by an operator, else `starting`."""
        if self.failure or self.ending:
            return "failed"
        if self.stopped:
            return "stopped"
        if self.hall is not None:
            return "running"
        return "paused" if self.tree is not None and not self.tree.has_quorum else "starting"

    def waiting_for(self) -> list[str]:
        """Members that this node has no link to."""
        links = self.links
        if links is None:
            return []
        return [name for name in self._membership.others if not links.is_up(name, "control")]

    def why_not_serving(self) -> str:
        """One line: how many nodes are missing, and what would let it go on."""
        if self.failure or self.ending:
            return self.failure or f"{self.ending}: the others take over"
        if self.stopped:
            return self.stopped
        if self.tree is not None and not self.tree.voters and self._is_refused_by_a_cluster():
            return f"node {self._node.name} is no member of the cluster yet: `warren apply` makes it one"
        return f"node {self._node.name} {self._what_it_waits_for()}"

    def _what_it_waits_for(self) -> str:
        handling, members, missing = self._cluster.partition_handling, self._membership.names, self.waiting_for()
        there, needed = [name for name in members if name not in missing], handling.needed(members)
        what = "" if self.tree is None else self.tree.waiting_for
        if self._healing is not None and self._healing.epoch is not None:
            return f"gave its history up for that of {self._healing.leader}" + (f": {what}" if what else "")
        if len(there) >= needed and not handling.may_serve(there, members):
            wanted = " or ".join(handling.preferred(members))
            return f"waits for {wanted}: none of them is there (partition_handling: {handling.mode})"
        if len(there) >= needed:
            return f"is joining: {len(there)} of {len(members)} nodes are there" + (f" ({what})" if what else "")
        if refusals := {} if self.links is None else self.links.refusals():
            return f"is not let in by {'; '.join(f'{name}: {why}' for name, why in refusals.items())}"
        return (
            f"waits for {' or '.join(missing)}: {len(there)} of {len(members)} nodes are there, {needed} are needed by "
            f"partition_handling: {handling.in_effect(members)} (`warren start {missing[0]}` would help)"
        )

    def _is_refused_by_a_cluster(self) -> bool:
        refusals = {} if self.links is None else self.links.refusals()
        return any(disagreement(self._node.name, name) in words for name, words in refusals.items())

    def members(self) -> dict[str, dict[str, Any]]:
        """The members as this node knows them: where each is dialled, whether it has a life and a vote, and whether it
        is about to leave."""
        tree = self.tree
        records = {} if tree is None else schema.members(tree.tree)
        voters = {} if tree is None else tree.voters
        return {
            name: {
                "link": link,
                "running": name in records and records[name].running,
                "voter": name in voters and name in records and voters[name] == records[name].folder,
                "leaving": name in records and records[name].leaving,
                "drained": name in records and records[name].drained,
            }
            for name, link in self._membership.addresses.items()
        }

    def _voters(self) -> list[str]:
        """Those who decide now: a member that is yet to be filled does not count."""
        return ([] if self.tree is None else list(self.tree.voters)) or self._membership.names

    def _title(self) -> str:
        record = None if self.tree is None else schema.cluster(self.tree.tree)
        return self._cluster.name if record is None else record.title or record.name

    def status(self, *, queues: bool) -> dict[str, Any]:
        """One node's answer to `status`."""
        state = self.state
        tree = self.tree
        answer: dict[str, Any] = {
            "node": self._node.name,
            "cluster": self._cluster.name,
            "state": state,
            "reason": None if state == "running" else self.why_not_serving(),
            "members": self.members(),
            "cluster_name": self._title(),
            "version": PRODUCT_VERSION,
            "platform": platform_text(),
            "cpu_cores": cpu_cores(),
            "waiting_for": [] if state == "running" else self.waiting_for(),
            "pid": process_id(),
            "life": self.life,
            "role": None if tree is None else tree.role,
            "epoch": 0 if tree is None else tree.epoch,
            "amqp": self.amqp,
            "amqps": self.amqps,
            "http": self.http,
            "https": self.https,
            "link": self.link,
            "uptime_s": 0 if self._started_at is None else trio.current_time() - self._started_at,
            "memory_bytes": resident_bytes(),
            "alarms": [] if self.hall is None else self.hall.alarms.look(),
            "fsync": None if self._cluster.data is None else self._node.settings.fsync,
            "cut_from": sorted(self.links.blocked()) if self.links is not None else [],
            "parted_from": [] if tree is None else sorted(tree.parted),
            "view": [] if tree is None else sorted(tree.view),
            "partition_handling": self._cluster.partition_handling.in_effect(self._voters()),
            "majority": len(self._voters()) // 2 + 1,
            "net_ticktime_s": self._node.settings.net_ticktime,
            "per_object_metrics": self._node.settings.prometheus_return_per_object_metrics,
        }
        if queues:
            answer["queues"] = self.queues()
        return answer

    def told(self) -> dict[str, Any]:
        """What this node was told when it started, and where it keeps things."""
        folder, file = self._cluster.node_folder(self._node.name), self._cluster.file
        return {
            "data_folder": None if folder is None else str(folder),
            "config_file": None if file is None else str(file),
            "certificates": [] if self._cluster.tls is None else [str(path) for path in self._cluster.tls.shown],
            "settings": {**asdict(self._node.settings), "partition_handling": self._cluster.partition_handling.mode},
        }

    # ------------------------------------------------------------------ queues

    def queues(self) -> list[dict[str, Any]]:
        """All queues; counts are filled in where the master is on this node."""
        if self.hall is None or self.tree is None:
            return []
        rows = []
        for vhost in schema.vhosts(self.tree.tree):
            rows += [row_of(self.hall, record) for record in schema.all_queues(self.tree.tree, vhost.name)]
        return rows
