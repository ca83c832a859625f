"""Definitions in RabbitMQ's format, made true: what the file names is there afterwards, and the rest stays.

Decides the order, what gives way to what is there already (queues and exchanges stay as they are, everything else is
overwritten), and how a refusal names its item. A section is gone through to its end; the next ones do not begin after a
refusal. It must not know who sent the file. Source: RabbitMQ 3.10, `rabbit_definitions:apply_defs`.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from broker.amqp.errors import AmqpException
from broker.cluster import schema
from broker.cluster.passwords import MD5
from broker.cluster.procedures.parameters import OPERATOR_POLICY
from broker.cluster.records import Owner, VhostRecord
from broker.cluster.refusal import Refused
from broker.management import definitions
from broker.vhosts.access import Access
from broker.vhosts.client import Client, User

if TYPE_CHECKING:
    from broker.vhosts.hall import Hall

AT_ONCE_MAX = 64
"""Items of a section under way at a time."""
IMPORTER = "rmq-internal"
"""RabbitMQ's name for whoever acts when nobody has logged in."""

SECRETS = ("password", "password_hash", "value")
"""Members that nobody gets to read."""

Item = dict[str, Any]


class DefinitionImport:
    """One file; with `vhost` all of it goes there, whatever it says."""

    def __init__(self, hall: "Hall", file: Any, vhost: str | None = None) -> None:
        if not isinstance(file, dict):
            raise Refused("invalid", "definitions are a JSON object")
        try:
            json.dumps(file, ensure_ascii=False).encode(errors="surrogateescape")
        except UnicodeError:  # JSON can carry halves of characters, which are in no name
            raise Refused("invalid", "a text of the definitions is no Unicode") from None
        self._hall = hall
        self._file = file
        self._vhost = vhost

    async def run(self) -> None:
        """Import everything. Raises Refused with the first thing that cannot be."""
        if self._vhost is None:
            await self._section("users", self._put_user)
            await self._section("vhosts", self._put_vhost)
        else:
            self._check_vhost(self._vhost)
        self._check_room()
        if self._vhost is None:
            await self._section("permissions", self._put_permission)
            await self._section("topic_permissions", self._put_topic_permission)
        await self._section("exchanges", self._declare_exchange)
        await self._section("global_parameters", self._put_global_parameter)
        # One after the other: each goes over all queues of its virtual host.
        await self._section("policies", self._put_policy, at_once=1)
        await self._section("parameters", self._put_parameter, at_once=1)
        await self._section("queues", self._declare_queue)
        await self._section("bindings", self._bind)

    # ------------------------------------------------------------------ sections

    def _items(self, section: str) -> list[Item]:
        items = self._file.get(section, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Refused("invalid", f"{section} is a list of objects")
        return items

    async def _section(self, name: str, put: Callable[[Item], Awaitable[None]], at_once: int = AT_ONCE_MAX) -> None:
        items = self._items(name)
        slots = trio.Semaphore(at_once)
        refusals: dict[int, Refused] = {}

        async def one(number: int, item: Item) -> None:
            try:
                await put(item if self._vhost is None else {**item, "vhost": self._vhost})
            except Refused as refused:
                refusals[number] = refused
            except AmqpException as refused:
                refusals[number] = Refused("invalid", refused.why)
            finally:
                slots.release()

        async with trio.open_nursery() as nursery:
            for number, item in enumerate(items):
                await slots.acquire()
                nursery.start_soon(one, number, item)
        if refusals:
            raise refusals[min(refusals)]

    async def _ask(self, item_name: str, **request: Any) -> None:
        try:
            await self._hall.tree.propose(request)
        except Refused as refused:
            raise Refused(refused.code, f"{refused.why} ({item_name})") from None

    # ------------------------------------------------------------------ users and rights

    async def _put_user(self, item: Item) -> None:
        name = _text(item, "name")
        fields: Item = {key: item[key] for key in ("password", "password_hash", "limits") if key in item}
        if "tags" not in item:
            raise Refused("invalid", f"tags_not_present (user {name})")
        algorithm = item.get("hashing_algorithm") or self._older_algorithm()
        if algorithm is not None:
            fields["hashing_algorithm"] = algorithm
        if "limits" in fields:
            fields["limits"] = _mapping(fields["limits"])
        await self._ask(f"user {name}", do="put_user", name=name, tags=_tags(_need(item, "tags")), **fields)

    def _older_algorithm(self) -> str | None:
        """Hashes that do not say how they were made are MD5 in files of RabbitMQ before 3.6."""
        version = str(self._file.get("rabbit_version", self._file.get("rabbitmq_version", "")))
        numbers = version.split(".")[:2]
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            return MD5 if tuple(map(int, numbers)) < (3, 6) else None
        return None

    async def _put_permission(self, item: Item) -> None:
        rights = {right: _text(item, right) for right in ("configure", "write", "read")}
        await self._allow(item, "put_permission", rights)

    async def _put_topic_permission(self, item: Item) -> None:
        rights = {right: _text(item, right) for right in ("exchange", "write", "read")}
        await self._allow(item, "put_topic_permission", rights)

    async def _allow(self, item: Item, do: str, rights: Item) -> None:
        user, vhost = _text(item, "user"), self._vhost_of(item)
        try:
            await self._ask(f"permission of {user} in {vhost}", do=do, user=user, vhost=vhost, **rights)
        except Refused as refused:
            if refused.code == "no_user":
                raise Refused("no_user", f'{{:no_such_user, "{user}"}} (permission in {vhost})') from None
            raise

    # ------------------------------------------------------------------ virtual hosts

    async def _put_vhost(self, item: Item) -> None:
        said = {**_mapping(item.get("metadata", {})), **item}
        fields: Item = {}
        if isinstance(said.get("description"), str):
            fields["description"] = said["description"]
        if "tags" in said:
            fields["tags"] = _tags(said["tags"])
        if said.get("default_queue_type") not in (None, "undefined"):
            fields["default_queue_type"] = said["default_queue_type"]
        name = _text(item, "name")
        await self._ask(f"vhost {name}", do="put_vhost", name=name, **fields)

    def _check_vhost(self, name: str) -> VhostRecord:
        record = schema.vhost(self._hall.tree.tree, name)
        if record is None:
            raise Refused("not_found", f"Virtual host '{name}' does not exist")
        return record

    def _vhost_of(self, item: Item) -> str:
        return self._check_vhost(str(item.get("vhost", "undefined"))).name

    def _check_room(self) -> None:
        """Nothing more is imported if there would be too many queues."""
        tree = self._hall.tree.tree
        wanted: Counter[str] = Counter()
        for item in self._items("queues"):
            vhost, name = self._vhost or item.get("vhost"), item.get("name")
            if isinstance(vhost, str) and isinstance(name, str) and schema.queue(tree, vhost, name) is None:
                wanted[vhost] += 1
        for vhost, count in wanted.items():
            record = schema.vhost(tree, vhost)
            room = -1 if record is None else record.limits.get("max-queues", -1)
            present = len(schema.queues(tree, vhost)) if room >= 0 else 0
            if 0 <= room < present + count:
                text = (
                    f'Adding {count} queue(s) to virtual host "{vhost}" would exceed the limit of {room} queue(s).\n\n'
                    f"This virtual host currently has {present} queue(s) defined.\n\nImport aborted!"
                )
                raise Refused("full", text)

    # ------------------------------------------------------------------ policies and parameters

    async def _put_policy(self, item: Item) -> None:
        await self._impose(item, item, f"{item.get('vhost')}/{item.get('name')}", operator=False)

    async def _impose(self, item: Item, value: Item, item_name: str, *, operator: bool) -> None:
        fields = {key: value[key] for key in ("pattern", "apply-to", "priority") if key in value}
        definition = _mapping(_need(value, "definition"))
        facts = {"vhost": self._vhost_of(item), "name": _text(item, "name"), "definition": definition}
        await self._ask(item_name, do="put_policy", operator=operator, **facts, **fields)

    async def _put_parameter(self, item: Item) -> None:
        component, name, value = _text(item, "component"), _text(item, "name"), _need(item, "value")
        if component == OPERATOR_POLICY and isinstance(value, dict):
            await self._impose(item, value, f"{item.get('vhost')}/{component}/{name}", operator=True)
            return
        facts = {"vhost": self._vhost_of(item), "component": component, "name": name}
        value = _mapping(value) if isinstance(value, list) else value
        await self._ask(f"{item.get('vhost')}/{component}/{name}", do="put_parameter", value=value, **facts)

    async def _put_global_parameter(self, item: Item) -> None:
        name = _text(item, "name")
        await self._ask(f"global parameter {name}", do="put_global_parameter", name=name, value=_need(item, "value"))

    # ------------------------------------------------------------------ what is declared

    def _client(self, vhost: str) -> Client:
        """Somebody who may do everything, so that a declaration here is checked like any other."""
        life = self._hall.life
        owner = Owner(life.node, life.number, IMPORTER)
        everything = Access(IMPORTER, vhost, ".*", ".*", ".*")
        return Client(User(IMPORTER), vhost, owner, lambda _user, _vhost: everything)

    async def _declare_exchange(self, item: Item) -> None:
        vhost, name = self._vhost_of(item), _text(item, "name")
        if schema.exchange(self._hall.tree.tree, vhost, name) is not None or name.startswith(definitions.RESERVED):
            return
        await self._hall.declarations.declare_exchange(
            self._client(vhost),
            name,
            str(item.get("type", "undefined")),
            passive=False,
            durable=_flag(item, "durable"),
            auto_delete=_flag(item, "auto_delete"),
            internal=_flag({"internal": False, **item}, "internal"),
            arguments=_mapping(item.get("arguments", {})),
        )

    async def _declare_queue(self, item: Item) -> None:
        vhost, name = self._vhost_of(item), _text(item, "name")
        if schema.queue(self._hall.tree.tree, vhost, name) is not None or name.startswith(definitions.RESERVED):
            return
        await self._hall.declarations.declare_queue(
            self._client(vhost),
            name,
            passive=False,
            durable=_flag(item, "durable"),
            exclusive=False,
            auto_delete=_flag(item, "auto_delete"),
            arguments=_mapping(item.get("arguments", {})),
        )

    async def _bind(self, item: Item) -> None:
        """Where an end is missing there is nothing to bind, and no complaint."""
        vhost, tree = self._vhost_of(item), self._hall.tree.tree
        source, destination, key = _text(item, "source"), _text(item, "destination"), _text(item, "routing_key")
        to_queue = _text(item, "destination_type") == "queue"
        ends = schema.queue if to_queue else schema.exchange
        if not source or schema.exchange(tree, vhost, source) is None or ends(tree, vhost, destination) is None:
            return
        verbs = self._hall.declarations
        bind = verbs.bind_queue if to_queue else verbs.bind_exchange
        arguments = _mapping(item.get("arguments", {}))
        await bind(self._client(vhost), destination, source, key, arguments, bind=True)


def _shown(item: Item) -> str:
    """An item for people and logs, who must not learn a secret; parameters carry addresses with passwords."""
    known = {name: "..." if name in SECRETS else value for name, value in item.items()}
    return json.dumps(known, ensure_ascii=False)


def _need(item: Item, field: str) -> Any:
    if field not in item:
        raise Refused("invalid", f"{field} is missing in {_shown(item)}")
    return item[field]


def _text(item: Item, field: str) -> str:
    if not isinstance(value := _need(item, field), str):
        raise Refused("invalid", f"{field} is no text in {_shown(item)}")
    return value


def _flag(item: Item, field: str) -> bool:
    if not isinstance(value := _need(item, field), bool):
        raise Refused("invalid", f"{field} is neither true nor false in {_shown(item)}")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    """An object; RabbitMQ's own exports have some as a list of pairs."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        return {str(name): item for name, item in value}
    raise Refused("invalid", f"{value!r} is not an object")


def _tags(value: Any) -> list[str]:
    """A list, or one text with commas."""
    if isinstance(value, str):
        return [tag.strip() for tag in value.split(",") if tag.strip()]
    if isinstance(value, list):
        return [str(tag) for tag in value]
    raise Refused("invalid", f"{value!r} is no list of tags")
