"""What requests carry: one model for each kind of body, with RabbitMQ's leniency and its words for what is wrong.

Decides types, defaults and complaints; the schema of the API is made of these models. It must not know what is done
with them. Members that nobody knows are passed over, as RabbitMQ does. Source: RabbitMQ 3.10, `rabbit_mgmt_util`.
"""

import base64
import binascii
import json
from math import isfinite
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from broker.cluster.asked import NESTING_MAX
from broker.management.refusals import BadRequest

B = TypeVar("B", bound=BaseModel)

NOT_JSON = "not_json"
DOUBLY_ENCODED = "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?"


class Body(BaseModel):
    """An object."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)


def parse(raw: bytes) -> dict[str, Any]:
    """The object in a body; none is an empty one. Raises BadRequest."""
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
        if b"\\u" in raw:  # JSON can carry halves of characters, which are in no name
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRequest(NOT_JSON) from None
    if isinstance(value, str):
        raise BadRequest(DOUBLY_ENCODED)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(NOT_JSON)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(digits: str) -> float:
    """A number that others can write as JSON again: what is too large is none."""
    number = float(digits)
    return number if isfinite(number) else _refuse_constant(digits)


def check(model: type[B], value: dict[str, Any]) -> B:
    """The body as this model has it. Raises BadRequest with all keys that are missing, else the first other fault."""
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    missing = [str(error["loc"][-1]) for error in errors if error["type"] == "missing"]
    if missing:
        raise BadRequest("[" + ",".join(f"{{key_missing,{name}}}" for name in missing) + "]")
    first = errors[0]
    if first["type"] == "payload_not_string":
        raise BadRequest(first["type"])
    if first["type"].startswith("not_"):
        raise BadRequest([first["type"], first["input"]])
    where = ".".join(str(part) for part in first["loc"])
    raise BadRequest(f"{where}: {first['msg'].removeprefix('Value error, ')}")


def _to_flag(value: Any) -> bool:
    match value:
        case bool():
            return value
        case "true":
            return True
        case "false":
            return False
    raise PydanticCustomError("not_boolean", "not a boolean")


def _to_whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) <= 18:
        return int(value)
    raise PydanticCustomError("not_integer", "not an integer")


def _to_table(value: Any) -> Any:
    return {} if value == [] else value  # what PHP makes of an empty object


def _flat_enough(value: Any) -> Any:
    """AMQP's tables go only so deep, and their integers only so far."""
    level = [value]
    for _ in range(NESTING_MAX):
        inner: list[Any] = []
        for one in level:
            match one:
                case dict():
                    if any(len(name.encode()) > 255 for name in one):
                        raise ValueError("a name in a table has at most 255 bytes")
                    inner += one.values()
                case list():
                    inner += one
                case int() if not -(2**63) <= one < 2**63:
                    raise ValueError("an integer has at most 64 bits")
        if not inner:
            return value
        level = inner
    raise ValueError(f"a table is nested at most {NESTING_MAX} deep")


def _to_tags(value: Any) -> list[str]:
    """A list, or one text with commas."""
    if isinstance(value, str):
        return [tag.strip() for tag in value.split(",") if tag.strip()]
    if isinstance(value, list) and all(isinstance(tag, str) for tag in value):
        return value
    raise ValueError("tags are a list of texts, or one text with commas")


def _to_payload(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("payload_not_string", "not a text")
    return value


def _short(value: str) -> str:
    if len(value.encode()) > 255:
        raise ValueError("at most 255 bytes")
    return value


Flag = Annotated[bool, BeforeValidator(_to_flag), WithJsonSchema({"type": "boolean"})]
"""`true`, or the text `"true"`."""
Whole = Annotated[int, BeforeValidator(_to_whole), WithJsonSchema({"type": "integer"})]
"""A number, or a text with one."""
Table = Annotated[dict[str, Any], BeforeValidator(_flat_enough), BeforeValidator(_to_table)]
"""Arguments or headers."""
Tags = Annotated[
    list[str],
    BeforeValidator(_to_tags),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
ShortText = Annotated[str, BeforeValidator(lambda value: _short(value) if isinstance(value, str) else value)]
"""At most 255 bytes, as a short string of AMQP."""


class RawBody(Body):
    """Taken as it comes."""


class NameBody(Body):
    """/cluster-name."""

    name: str


class ValueBody(Body):
    """A parameter."""

    value: Any


class LimitBody(Body):
    """A limit."""

    value: Any
    """A number; the shared state says so if it is none, in RabbitMQ's words."""


class VhostBody(Body):
    """A virtual host."""

    description: Annotated[str, BeforeValidator(lambda value: str(value))] = ""
    tags: Tags = []
    default_queue_type: str | None = None
    tracing: Flag = False


class UserBody(Body):
    """A user; neither password nor hash: nobody can log in with a password."""

    tags: Tags | None = None
    password: str | None = None
    password_hash: str | None = None
    hashing_algorithm: str | None = None
    limits: dict[str, Any] | None = None


class UsersBody(Body):
    """Users to be removed."""

    users: list[str]


class PermissionBody(Body):
    """What a user may do in a virtual host."""

    configure: str
    write: str
    read: str


class KeyBody(Body):
    """Which routing keys a user may use with an exchange."""

    exchange: str
    write: str
    read: str


class PolicyBody(Body):
    """A policy."""

    pattern: str
    definition: dict[str, Any]
    priority: Any = 0
    apply_to: Any = Field("all", alias="apply-to")


class ExchangeBody(Body):
    """An exchange."""

    type: str = "direct"
    durable: Flag = False
    auto_delete: Flag = False
    internal: Flag = False
    arguments: Table = {}


class QueueBody(Body):
    """A queue; `node` declares it, and gets the master where the locator says so."""

    durable: Flag = False
    auto_delete: Flag = False
    arguments: Table = {}
    node: str | None = None


class BindingBody(Body):
    """A binding."""

    routing_key: ShortText = ""
    arguments: Table = {}


class ActionBody(Body):
    """What is to be done with a queue."""

    action: str


class PublishBody(Body):
    """A message."""

    properties: Table
    routing_key: ShortText
    payload: Annotated[str, BeforeValidator(_to_payload)]
    payload_encoding: str

    def content(self) -> bytes:
        """The message's body. Raises BadRequest."""
        match self.payload_encoding:
            case "string":
                return self.payload.encode()
            case "base64":
                try:
                    return base64.b64decode(self.payload, validate=True)
                except (binascii.Error, ValueError):
                    raise BadRequest(["not_base64", self.payload]) from None
        raise BadRequest(["unsupported_encoding", self.payload_encoding])


AckMode = Literal["ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false"]


class GetBody(Body):
    """How many messages, and what becomes of them; `requeue` is what older clients say in place of `ackmode`."""

    @model_validator(mode="before")
    @classmethod
    def _from_older(cls, value: Any) -> Any:
        if isinstance(value, dict) and "requeue" in value and "ackmode" not in value:
            return {**value, "ackmode": f"ack_requeue_{str(_to_flag(value['requeue'])).lower()}"}
        return value

    ackmode: AckMode
    count: Whole
    encoding: str
    truncate: Whole | None = None


class ReplayBody(Body):
    """Which dead letters go back, and where to if not home. Not RabbitMQ's."""

    to: ShortText | None = None
    """A queue."""
    exchange: ShortText | None = None
    routing_key: ShortText | None = None
    search: str | None = None
    reason: str | None = None
    queue: str | None = None
    """In which they died."""
    limit: Whole | None = None
    again: Flag = False
    dry_run: Flag = False
    after: Whole = 0
    upto: Whole | None = None
    """As `next` and `upto` of the answer before, to go on."""
