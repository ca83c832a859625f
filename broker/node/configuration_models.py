"""cluster.yaml as pydantic models: which keys there are, what each may hold, what holds when it is absent.

Decides what is accepted; a key stands here from the change that makes it work. Numbers of ports and the expansion of
policies are neighbours' (`configuration_addresses`, `configuration_policies`).
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from broker.node.configuration import (
    DEFAULT_COOKIE,
    DEFAULT_DATA,
    MEMORY,
    Address,
    Cluster,
    ConfigurationError,
    Node,
    Settings,
    User,
)
from broker.node.configuration_addresses import check_addresses, resolve_addresses
from broker.node.configuration_complaints import complain_of
from broker.node.configuration_file import Document, Place, read_document
from broker.node.configuration_fingerprint import fingerprint, folder_of, sources_of
from broker.node.configuration_policies import expand_policies
from broker.node.configuration_settings import Name, NodeSettings, Section, SettingsSection
from broker.node.configuration_tls import TlsSection, read_tls
from broker.node.partition_handling import PartitionHandling
from policies.patterns import PatternInvalid, compile_pattern

DEFAULT_NODES = ("n1", "n2", "n3")


def _node_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", name):
        raise ValueError("a node name is made of letters, digits, - _ and . (no @), at most 63 of them")
    return name


def _address(value: Any) -> Any:
    return str(Address.parse(value if isinstance(value, str) else ""))


def _pattern(value: str) -> str:
    try:
        compile_pattern(value)
    except PatternInvalid as invalid:
        raise ValueError(f"is not a regular expression: {invalid}") from invalid
    return value


def _three(value: list[str]) -> list[str]:
    if len(value) != 3:
        raise ValueError('must be three patterns, for configure, write and read, as [".*", ".*", ".*"]')
    return value


NodeName = Annotated[str, AfterValidator(_node_name)]
AddressText = Annotated[str, BeforeValidator(_address)]
Pattern = Annotated[str, AfterValidator(_pattern)]


Permission = Annotated[list[Pattern], AfterValidator(_three)]


class ClusterSection(Section):
    """`cluster:`"""

    name: Name = "local"
    cookie: Name = DEFAULT_COOKIE
    partition_handling: Annotated[Any, BeforeValidator(PartitionHandling.parse)] = PartitionHandling()


class NodeSection(Section):
    """One of `nodes:`; a bare word is a name."""

    name: NodeName
    amqp: AddressText | None = None
    amqps: AddressText | None = None
    http: AddressText | None = None
    https: AddressText | None = None
    link: AddressText | None = None
    settings: NodeSettings = NodeSettings()

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class UserSection(Section):
    """One of `users:`."""

    name: Name
    password: str
    tags: list[Name] = Field(default_factory=list)
    permissions: dict[str, Permission] = Field(default_factory=dict)


class ClusterFile(Section):
    """The whole file."""

    cluster: ClusterSection = ClusterSection()
    nodes: Annotated[list[NodeSection], Field(min_length=1, max_length=99)] = Field(
        default_factory=lambda: [NodeSection(name=name) for name in DEFAULT_NODES]
    )
    data: Name = DEFAULT_DATA
    vhosts: Annotated[list[Name], Field(min_length=1)] = Field(default_factory=lambda: ["/"])
    users: list[UserSection] | None = None
    policies: list[Any] = Field(default_factory=list)
    operator_policies: list[Any] = Field(default_factory=list)
    settings: SettingsSection = SettingsSection()
    tls: TlsSection | None = None
    definitions: Name | None = None


def read_cluster(path: Path | None) -> Cluster:
    """Reads, checks and resolves a cluster.yaml; None: all defaults. Raises ConfigurationError with every problem."""
    document = Document("the default cluster") if path is None else read_document(path)
    value = {} if path is None else document.value
    if not isinstance(value, dict):
        document.complain((), "must be a mapping with keys as cluster: and nodes:")
        raise ConfigurationError(document.problems)
    folder = folder_of(path)
    try:
        file = ClusterFile.model_validate(value)
    except ValidationError as error:
        complain_of(document, error, ClusterFile)
        _check_policies_all_the_same(document, folder, value)
        raise ConfigurationError(document.problems) from error
    nodes = _nodes(document, file)
    _check_names(document, file)
    _check_partition_handling(document, file)
    if file.cluster.cookie == DEFAULT_COOKIE:
        _check_cookie(document, nodes)
    policies, operator_policies = expand_policies(document, folder, value, tuple(file.vhosts))
    _check_certificates(document, file)
    tls = None if file.tls is None else read_tls(document, file.tls, folder)
    definitions = _definitions(document, folder, file.definitions)
    document.check()
    sources = sources_of(path, value)
    return Cluster(
        name=file.cluster.name,
        cookie=file.cluster.cookie,
        partition_handling=file.cluster.partition_handling,
        nodes=nodes,
        data=None if file.data == MEMORY else folder / Path(file.data).expanduser(),
        vhosts=tuple(file.vhosts),
        users=_users(file),
        policies=policies,
        operator_policies=operator_policies,
        file=None if path is None else path.resolve(),
        tls=tls,
        definitions=definitions,
        sources=sources,
        fingerprint=fingerprint(sources),
    )


def _definitions(document: Document, folder: Path, name: str | None) -> Path | None:
    if name is None:
        return None
    path = folder / Path(name).expanduser()
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        document.complain(("definitions",), f"{path} cannot be read: {error.strerror}")
    except ValueError as error:
        document.complain(("definitions",), f"{path} is not JSON: {error}")
    else:
        if not isinstance(value, dict):
            document.complain(("definitions",), f"{path} has no definitions: they are a JSON object")
    return path


def _check_policies_all_the_same(document: Document, folder: Path, value: dict[str, Any]) -> None:
    """Finds the faults of the policies although another section is wrong, so that they are told at once."""
    vhosts = value.get("vhosts", ["/"])
    lists = [value.get(key, []) for key in ("policies", "operator_policies")] + [vhosts]
    if all(isinstance(entries, list) for entries in lists) and vhosts and all(isinstance(name, str) for name in vhosts):
        expand_policies(document, folder, value, tuple(vhosts))


def _nodes(document: Document, file: ClusterFile) -> tuple[Node, ...]:
    doors = ("amqp", "amqps", "http", "https", "link")
    addresses = resolve_addresses([{door: getattr(node, door) for door in doors} for node in file.nodes])
    check_addresses(document, [node.name for node in file.nodes], addresses)
    everywhere = file.settings.model_dump()
    return tuple(
        Node(
            node.name,
            found["amqp"],
            found["http"],
            found["link"],
            Settings(**{**everywhere, **node.settings.model_dump(exclude_unset=True)}),
            found.get("amqps"),
            found.get("https"),
        )
        for node, found in zip(file.nodes, addresses, strict=True)
    )


def _users(file: ClusterFile) -> tuple[User, ...]:
    if file.users is None:
        everything = dict.fromkeys(file.vhosts, (".*", ".*", ".*"))
        return (User("guest", "guest", ("administrator",), everything),)
    return tuple(
        User(
            user.name,
            user.password,
            tuple(user.tags),
            {vhost: (configure, write, read) for vhost, (configure, write, read) in user.permissions.items()},
        )
        for user in file.users
    )


def _check_certificates(document: Document, file: ClusterFile) -> None:
    for index, node in enumerate(file.nodes):
        for door in ("amqps", "https") if file.tls is None else ():
            if (address := getattr(node, door)) is not None:
                text = f"{address} needs certificates: add tls: {{cert: FILE, key: FILE, ca: FILE}}"
                document.complain(("nodes", index, door), text)


def _check_names(document: Document, file: ClusterFile) -> None:
    _check_unique(document, ("nodes",), [node.name for node in file.nodes], "name")
    _check_unique(document, ("vhosts",), file.vhosts)
    users = file.users or []
    _check_unique(document, ("users",), [user.name for user in users], "name")
    for index, user in enumerate(users):
        for vhost in user.permissions:
            if vhost not in file.vhosts:
                text = f"there is no vhost {vhost!r}: add it to vhosts ({', '.join(file.vhosts)})"
                document.complain(("users", index, "permissions", vhost), text)


def _check_unique(document: Document, place: Place, names: Sequence[str], *field: str) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if seen.setdefault(name, index) != index:
            text = f"{name!r} is taken by {place[0]}[{seen[name]}]: give each its own name"
            document.complain((*place, index, *field), text)


def _check_partition_handling(document: Document, file: ClusterFile) -> None:
    names = [node.name for node in file.nodes]
    for index, name in enumerate(file.cluster.partition_handling.nodes):
        if name not in names:
            text = f"there is no node {name!r}: choose from {', '.join(names)}"
            document.complain(("cluster", "partition_handling", "nodes", index), text)


def _check_cookie(document: Document, nodes: Sequence[Node]) -> None:
    for index, node in enumerate(nodes):
        if not node.link.is_loopback:
            text = (
                f"{node.link} can be reached from other machines, but the cookie is the default one: set cluster.cookie"
            )
            document.complain(("nodes", index, "link"), text)
