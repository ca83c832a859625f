"""Numbers the ports: what the file leaves out is counted up, and no two doors share one.

Decides addresses only. It must not know what stands behind them.
"""

from collections.abc import Sequence

from broker.node.configuration import Address
from broker.node.configuration_file import Document

DOORS = ("amqp", "http", "link")
FIRST_PORTS = (5672, 15672, 25672)
DEFAULT_HOST = "127.0.0.1"

Addresses = tuple[Address, Address, Address]


def resolve_addresses(given: Sequence[tuple[str | None, str | None, str | None]]) -> list[Addresses]:
    """The addresses of every node as (amqp, http, link): the given ones, else the next free number from RabbitMQ's."""
    taken = {Address.parse(text).port for node in given for text in node if text is not None}
    resolved = []
    for index, node in enumerate(given):
        doors = []
        for text, first in zip(node, FIRST_PORTS, strict=True):
            if text is None:
                port = first + index
                while port in taken:
                    port += 1
                taken.add(port)
                text = f"{DEFAULT_HOST}:{port}"
            doors.append(Address.parse(text))
        resolved.append((doors[0], doors[1], doors[2]))
    return resolved


def check_addresses(document: Document, names: Sequence[str], addresses: Sequence[Addresses]) -> None:
    """Complains of every address that another door has already."""
    seen: list[tuple[Address, str]] = []
    for index, node in enumerate(addresses):
        for door, address in zip(DOORS, node, strict=True):
            clash = next((where for other, where in seen if address.clashes_with(other)), None)
            if clash is not None:
                text = f"{address} is taken by {clash}: give each its own port"
                document.complain(("nodes", index, door), text)
            seen.append((address, f"{door} of {names[index]}"))
