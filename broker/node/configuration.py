"""What a cluster is told: its nodes, addresses, users, policies and settings, checked and with every default filled in.

Decides the shape that the rest of the house reads; it must not know YAML. Two ways lead here: `load` reads a
cluster.yaml (with pydantic and line numbers, imported then), and `from_json` takes what the supervisor resolved before,
in a millisecond, because three nodes have to be up in two seconds.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.node.partition_handling import PartitionHandling
from policies.models import OperatorPolicy, Policy

if TYPE_CHECKING:
    from broker.storage.fsync import Mode
    from broker.vhosts.certificates import LoginFrom, SanType

DEFAULT_COOKIE = "change-me"
DEFAULT_DATA, MEMORY = "./data", "memory"
RESOLVED_FILE = "cluster.json"
"""Where a supervisor leaves what it has read, for its nodes and for commands."""
EVENTS_FILE = "events.json"
"""In the folder of a node: its time line, which commands read if the node is silent."""
_LOOPBACK_NAMES = ("localhost", "::1")
_EVERY_INTERFACE = ("0.0.0.0", "::", "*")


class ConfigurationError(Exception):
    """A file that cannot be used; `problems` has one line each, `FILE:LINE: key: what would be right`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens. `str()` gives `host:port`, an IPv6 host in brackets; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """From `host:port`. Raises ValueError that says what would be right."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        wrong = not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65535
        if wrong or (":" in host and not text.startswith("[")) or any(c.isspace() or c in "/[]@" for c in host):
            raise ValueError("use host:port with a port from 0 to 65535, as 127.0.0.1:5672 or [::1]:5672")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; a host name other than localhost may lead anywhere."""
        return self.host.startswith("127.") or self.host in _LOOPBACK_NAMES

    @property
    def reachable(self) -> "Address":
        """The address to dial: one that listens on every interface is dialled on this machine."""
        if self.host not in _EVERY_INTERFACE:
            return self
        return Address("::1" if self.host == "::" else "127.0.0.1", self.port)

    def announced(self, listening: str) -> str:
        """What others are to dial when this is listened on as `listening`; empty if only they can know."""
        if self.host in _EVERY_INTERFACE:
            return ""
        return str(Address(self.host, int(listening.rpartition(":")[2])))

    def clashes_with(self, other: "Address") -> bool:
        """Whether both cannot be listened on at the same time."""
        hosts = {self.host.replace("localhost", "127.0.0.1"), other.host.replace("localhost", "127.0.0.1")}
        return self.port == other.port != 0 and (len(hosts) == 1 or not hosts.isdisjoint(_EVERY_INTERFACE))


@dataclass(frozen=True, slots=True)
class Settings:
    """rabbitmq.conf's settings, with its names and units where it has one."""

    heartbeat: int = 60
    """Seconds, proposed to clients; 0 = none."""
    net_ticktime: float = 5.0
    """Seconds of silence after which a node counts as down; the same on all nodes."""
    frame_max: int = 131072
    """Bytes."""
    channel_max: int = 2047
    """Channels of one connection."""
    handshake_timeout: int = 10000
    """Milliseconds that a client has to open its connection."""
    consumer_timeout: int = 1_800_000
    """Milliseconds that a client has to acknowledge a delivery."""
    max_message_size: int = 134217728
    """Bytes of one body."""
    auth_mechanisms: tuple[str, ...] = ("PLAIN", "AMQPLAIN", "EXTERNAL")
    """What clients are offered; EXTERNAL only those who have shown a certificate."""
    loopback_users: tuple[str, ...] = ("guest",)
    """Who may only come from this machine."""
    ssl_cert_login_from: "LoginFrom" = "distinguished_name"
    """Which part of a client's certificate is the user name."""
    ssl_cert_login_san_type: "SanType" = "dns"
    ssl_cert_login_san_index: int = 0
    vm_memory_high_watermark: int | float = 0.4
    """How much memory a node may use before publishers have to wait: a share (float) of the machine's, or bytes."""
    disk_free_limit: int | float = 50_000_000
    """How much room on disk must be left: bytes, or a multiple (float) of the machine's memory."""
    fsync: "Mode" = "always"
    """When the journal is durable: `always` before it says so, every `interval`, or `never` by us."""
    fsync_interval: int = 1000
    """Milliseconds."""
    mirroring_sync_batch_size: int = 4096
    """How many messages go at a time to a mirror that is filled, unless the policy says it (ha-sync-batch-size)."""
    mirroring_sync_max_throughput: int = 0
    """Bytes a second to such a mirror, for each queue; 0 = no limit."""
    prometheus_return_per_object_metrics: bool = False
    """Whether /metrics tells of every object, as /metrics/per-object does."""
    queue_master_locator: str = "client-local"
    """Where the master of a new queue goes when neither argument nor policy say it."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name, what it listens on, its settings."""

    name: str
    amqp: Address
    http: Address
    link: Address
    settings: Settings = Settings()
    amqps: Address | None = None
    """For clients that come with TLS; None: none do."""
    https: Address | None = None
    """For the HTTP API over TLS; None: it is not."""

    @property
    def doors(self) -> dict[str, Address]:
        """Where it listens, by the door's name."""
        found = {
            "amqp": self.amqp,
            "amqps": self.amqps,
            "http": self.http,
            "https": self.https,
            "link": self.link,
        }
        return {door: address for door, address in found.items() if address is not None}


@dataclass(frozen=True, slots=True)
class User:
    """A user that the founding of the cluster creates. `permissions`: vhost -> (configure, write, read)."""

    name: str
    password: str = field(repr=False)
    tags: tuple[str, ...] = ()
    permissions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificate that nodes and commands show each other, its key, and the authority of both (DESIGN S17).

    Clients are shown it, too.
    """

    cert: Path
    key: Path
    ca: Path
    verify: str = "none"
    """`peer`: clients are asked for a certificate of that authority."""
    fail_if_no_peer_cert: bool = False
    """Whether clients without a certificate have to go."""
    sni: Mapping[str, KeyPair] = field(default_factory=dict, hash=False)
    """What clients are shown who ask for that host."""

    @property
    def shown(self) -> list[Path]:
        """The files of all certificates that are shown, and of those that are trusted."""
        return [self.cert, *(pair.cert for pair in self.sni.values()), self.ca]

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        value = asdict(self) | {name: str(getattr(self, name)) for name in ("cert", "key", "ca")}
        return value | {"sni": {host: [str(pair.cert), str(pair.key)] for host, pair in self.sni.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tls":
        """The reverse of as_json; trusts it."""
        sni = {host: KeyPair(Path(cert), Path(key)) for host, (cert, key) in value["sni"].items()}
        cert, key, ca = (Path(value[name]) for name in ("cert", "key", "ca"))
        return cls(cert, key, ca, value["verify"], value["fail_if_no_peer_cert"], sni)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster.yaml, resolved."""

    name: str
    cookie: str = field(repr=False)
    partition_handling: PartitionHandling
    nodes: tuple[Node, ...]
    data: Path | None
    """The folder above the nodes' folders; None: nothing is kept."""
    vhosts: tuple[str, ...]
    users: tuple[User, ...]
    policies: tuple[Policy, ...]
    operator_policies: tuple[OperatorPolicy, ...]
    file: Path | None = None
    """Where it was read from; None: all defaults."""
    tls: Tls | None = None
    """Of clients at `amqps` and `https`, of the links between nodes and of the commands' road; None: all is plain."""
    definitions: Path | None = None
    """A file in RabbitMQ's format that is imported when the cluster is started."""
    sources: tuple[Path, ...] = ()
    """All files that it was read from."""
    fingerprint: str = ""
    """Of what they said; empty if this is something else."""

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError with the names that there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node {name} in {self.file or 'the default cluster'}: there are {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names in the order of the file."""
        return tuple(node.name for node in self.nodes)

    @property
    def run_folder(self) -> Path:
        """Where run.json and the logs are: the data folder, or one of its own below the temporary folder."""
        return self.data if self.data is not None else memory_folder(self.file)

    def node_folder(self, name: str) -> Path | None:
        """Where that node keeps its journal; None: in memory only."""
        return None if self.data is None else self.data / name

    def as_json(self) -> dict[str, Any]:
        """Everything, secrets included: for a file that only its owner can read."""
        value = asdict(self)
        for node, plain in zip(self.nodes, value["nodes"], strict=True):
            plain.update({door: str(address) for door, address in node.doors.items()})
        value["policies"] = [policy.as_json() for policy in self.policies]
        value["operator_policies"] = [policy.as_json() for policy in self.operator_policies]
        value["data"] = None if self.data is None else str(self.data)
        value["file"] = None if self.file is None else str(self.file)
        value["tls"] = None if self.tls is None else self.tls.as_json()
        value["definitions"] = None if self.definitions is None else str(self.definitions)
        value["partition_handling"] = self.partition_handling.as_json()
        value["sources"] = list(map(str, self.sources))
        return {"resolved": 1, **value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Cluster":
        """The reverse of as_json; trusts it."""
        nodes = tuple(
            Node(
                node["name"],
                Address.parse(node["amqp"]),
                Address.parse(node["http"]),
                Address.parse(node["link"]),
                _settings(node["settings"]),
                None if node["amqps"] is None else Address.parse(node["amqps"]),
                None if node["https"] is None else Address.parse(node["https"]),
            )
            for node in value["nodes"]
        )
        users = tuple(
            User(user["name"], user["password"], tuple(user["tags"]), _permissions(user["permissions"]))
            for user in value["users"]
        )
        return cls(
            name=value["name"],
            cookie=value["cookie"],
            partition_handling=PartitionHandling.from_json(value["partition_handling"]),
            nodes=nodes,
            data=None if value["data"] is None else Path(value["data"]),
            vhosts=tuple(value["vhosts"]),
            users=users,
            policies=tuple(Policy.from_json(policy) for policy in value["policies"]),
            operator_policies=tuple(OperatorPolicy.from_json(policy) for policy in value["operator_policies"]),
            file=None if value["file"] is None else Path(value["file"]),
            tls=None if value["tls"] is None else Tls.from_json(value["tls"]),
            definitions=None if value["definitions"] is None else Path(value["definitions"]),
            sources=tuple(map(Path, value.get("sources", ()))),
            fingerprint=value.get("fingerprint", ""),
        )


def memory_folder(file: Path | None) -> Path:
    """`data: memory` keeps no message, but a command in another shell must still find the running cluster."""
    import tempfile  # which is slow to import, and rarely needed: nodes start faster without

    mark = sha256(f"{file or Path.cwd()}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"warren-{os.getuid()}-{mark}"


def _settings(value: Mapping[str, Any]) -> Settings:
    found: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    return Settings(**found)


def _permissions(value: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {vhost: (configure, write, read) for vhost, (configure, write, read) in value.items()}


def load(path: Path | None) -> Cluster:
    """The cluster that a file describes; None: three nodes with every default, data in ./data.

    A file that a supervisor resolved (`Cluster.as_json`) is taken as it is. Raises ConfigurationError.
    """
    if path is not None and path.suffix == ".json":
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"{path}: {error}"]) from error
        if isinstance(value, dict) and value.get("resolved") == 1:
            return Cluster.from_json(value)
    from broker.node.configuration_models import read_cluster

    return read_cluster(path)
