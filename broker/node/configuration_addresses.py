"""Numbers the ports: what the file leaves out is counted up, and no two doors share one.

Decides addresses only. It must not know what stands behind them.
"""

from collections.abc import Mapping, Sequence

from broker.node.configuration import Address
from broker.node.configuration_file import Document

FIRST_PORTS = {"amqp": 5672, "http": 15672, "link": 25672}
"""Doors that every node has; RabbitMQ's numbers."""
DEFAULT_HOST = "127.0.0.1"

Given = Mapping[str, str | None]
Addresses = Mapping[str, Address]


def resolve_addresses(given: Sequence[Given]) -> list[Addresses]:
    """The addresses of every node by door: the given ones, else the next free number for doors that all have."""
    taken = {Address.parse(text).port for node in given for text in node.values() if text is not None}
    resolved: list[Addresses] = []
    for index, node in enumerate(given):
        doors: dict[str, Address] = {}
        for door, text in node.items():
            if text is None and door in FIRST_PORTS:
                port = FIRST_PORTS[door] + index
                while port in taken:
                    port += 1
                taken.add(port)
                text = f"{DEFAULT_HOST}:{port}"
            if text is not None:
                doors[door] = Address.parse(text)
        resolved.append(doors)
    return resolved


def check_addresses(document: Document, names: Sequence[str], addresses: Sequence[Addresses]) -> None:
    """Complains of every address that another door has already."""
    seen: list[tuple[Address, str]] = []
    for index, node in enumerate(addresses):
        for door, address in node.items():
            clash = next((where for other, where in seen if address.clashes_with(other)), None)
            if clash is not None:
                text = f"{address} is taken by {clash}: give each its own port"
                document.complain(("nodes", index, door), text)
            seen.append((address, f"{door} of {names[index]}"))
