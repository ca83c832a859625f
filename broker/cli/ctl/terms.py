"""Field tables and other structured values as rabbitmqctl shows them: Erlang terms to people, lists to programs.

Decides looks only. Rows carry plain JSON values, so the types that programs are told are those that most clients send.
"""

import json
from collections.abc import Mapping
from typing import Any

from broker.wire.field_terms import type_name


def text_of(value: Any) -> str:
    """An Erlang term on one line, types left out: `[{"x-max-length",10},{"list",[1,"a"]}]`."""
    match value:
        case Mapping():
            return "[" + ",".join(f"{{{text_of(name)},{text_of(item)}}}" for name, item in value.items()) + "]"
        case list() | tuple():
            return "[" + ",".join(map(text_of, value)) + "]"
        case None:
            return "undefined"
    return json.dumps(value, ensure_ascii=False)


def typed(value: Any) -> Any:
    """For JSON: a table as a list of name, type and value, an array as a list of type and value."""
    match value:
        case Mapping():
            return [[name, type_name(item), typed(item)] for name, item in value.items()]
        case list() | tuple():
            return [[type_name(item), typed(item)] for item in value]
    return "undefined" if value is None else value


def version_of(protocol: str) -> list[int]:
    """`AMQP 0-9-1` as its numbers."""
    return [int(number) for number in protocol.rpartition(" ")[2].split("-")]
