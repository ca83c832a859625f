"""What a node listens on, and whether it can be reached there: listeners, check_port_listener, check_protocol_listener,
check_port_connectivity, check_certificate_expiration.

Decides what is asked and printed. A port is tried from where the command runs, as a client would.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import Exit, Misuse

DOORS: Final = {
    "clustering": ("link", "inter-node and CLI tool communication"),
    "amqp": ("amqp", "AMQP 0-9-1"),
    "amqp/ssl": ("amqps", "AMQP 0-9-1 over TLS"),
    "http": ("http", "HTTP API"),
    "https": ("https", "HTTP API over TLS"),
}
"""By protocol: the door of `status`, and what it is for."""
ALIASES: Final = {"amqp091": "amqp", "amqp0.9.1": "amqp", "amqp-0-9-1": "amqp", "amqps": "amqp/ssl"}
CONNECT_TIMEOUT_S = 5.0
UNITS: Final = {"days": 1, "weeks": 7, "months": 30, "years": 365}

Listener = dict[str, Any]


def listeners_of(node: str, answer: Mapping[str, Any]) -> list[Listener]:
    """The open doors of a node; in maintenance it has none for clients of AMQP."""
    drained = answer["members"].get(node, {}).get("drained")
    found = []
    for protocol, (door, purpose) in DOORS.items():
        if answer.get(door) and not (drained and protocol.startswith("amqp")):
            host, _, port = answer[door].rpartition(":")
            where = {"interface": host, "node": f"rabbit@{node}", "port": int(port)}
            found.append({**where, "protocol": protocol, "purpose": purpose})
    return found


def line_of(listener: Mapping[str, Any]) -> str:
    """One of them, for people."""
    facts = ("interface", "port", "protocol", "purpose")
    return ", ".join(f"{name}: {listener[name]}" for name in facts).replace("interface", "Interface", 1)


@ctl_command("listeners", example="--node n1")
def listeners(call: Call) -> None:
    """Show what a node listens on, and for what."""
    node, answer = call.look()
    found = listeners_of(node, answer)
    call.say(f"Asking node rabbit@{node} to report its protocol listeners ...")
    if call.is_json:
        call.print_object({"listeners": found, "node": f"rabbit@{node}", "result": "ok"})
        return
    for listener in found:
        click.echo(line_of(listener))


@ctl_command("check_port_listener", "<port>", example="--node n1 5672")
@click.argument("port")
def check_port_listener(call: Call, port: str) -> None:
    """Fail unless a node listens on this port."""
    if not port.isascii() or not port.isdecimal() or not int(port):
        raise Misuse("Bad argument: Argument must be a positive integer", Exit.DATA)
    node, answer = call.look()
    asked = f"rabbit@{node}"
    call.say(f"Asking node {asked} if there's an active listener on port {port} ...")
    found = listeners_of(node, answer)
    ports = [listener["port"] for listener in found]
    if int(port) in ports:
        text = f"A listener for port {port} is running on node {asked}."
        call.passed(text, result="ok", node=asked, port=port)
        return
    text = f"No listener for port {port} is active on node {asked}. "
    text += f"Found listeners that use the following ports: {', '.join(map(str, ports))}"
    raise call.failed(text, bare=True, result="error", missing=int(port), ports=ports, listeners=found)


@ctl_command("check_protocol_listener", "<protocol>", example="--node n1 amqp/ssl")
@click.argument("protocol")
def check_protocol_listener(call: Call, protocol: str) -> None:
    """Fail unless a node speaks this protocol: amqp, amqp/ssl, http, https, clustering."""
    node, answer = call.look()
    asked = f"rabbit@{node}"
    call.say(f"Asking node {asked} if there's an active listener for protocol {protocol} ...")
    found = listeners_of(node, answer)
    protocols = [listener["protocol"] for listener in found]
    if ALIASES.get(protocol.lower(), protocol.lower()) in protocols:
        text = f"A listener for protocol {protocol} is running on node {asked}."
        call.passed(text, result="ok", node=asked, protocol=protocol)
        return
    text = f"No listener for protocol {protocol} is active on node {asked}. "
    text += f"Found listeners for the following protocols: {', '.join(protocols)}"
    raise call.failed(text, result="error", missing=protocol, protocols=protocols, listeners=found)


@ctl_command("check_port_connectivity", example="--node n1")
def check_port_connectivity(call: Call) -> None:
    """Fail unless every port of a node takes a connection."""
    node, answer = call.look()
    asked = f"rabbit@{node}"
    call.say(f"Testing TCP connections to all active listeners on node {asked} ...")
    found = listeners_of(node, answer)
    deaf = [listener for listener in found if not _takes_connections(listener)]
    if deaf:
        lines = [f"Connection to ports of the following listeners on node {asked} failed: ", *map(line_of, deaf)]
        raise call.failed("\n".join(lines), result="error", node=asked, failures=deaf)
    ports = ", ".join(str(port) for port in sorted(listener["port"] for listener in found))
    text = f"Successfully connected to ports {ports} on node {asked}."
    call.passed(text, result="ok", node=asked, listeners=found)


def _takes_connections(listener: Listener) -> bool:
    try:
        socket.create_connection(dialled(listener), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def dialled(listener: Mapping[str, Any]) -> tuple[str, int]:
    """Where a listener is reached from here."""
    from broker.node.configuration import Address

    address = Address(listener["interface"].strip("[]"), listener["port"]).reachable
    return address.host, address.port


@ctl_command(
    "check_certificate_expiration", "[--within <period>] [--unit <unit>]", example="--node n1 --within 2 --unit months"
)
@click.option("--within", default=4, show_default=True, metavar="NUMBER", help="In how many units.")
@click.option("--unit", default="weeks", show_default=True, help="days, weeks, months or years.")
def check_certificate_expiration(call: Call, within: int, unit: str) -> None:
    """Fail if a certificate that a node shows, or the authority that it trusts, expires soon."""
    if unit not in UNITS:
        raise Misuse(f"unit '{unit}' is not supported. Please use one of: {', '.join(UNITS)}")
    from broker.cli.ctl.certificates import expiring

    node, answer = call.look()
    call.say(f"Checking certificate expiration on node rabbit@{node} ...")
    tls = call.cluster().tls
    found: Sequence[Mapping[str, Any]] = []
    if tls is not None:
        doors = [listener for listener in listeners_of(node, answer) if is_secured(listener)]
        found = expiring(tls, doors, within * UNITS[unit] * 86400)
    if not found:
        label = unit.removesuffix("s") if within == 1 else unit
        call.passed(f"No certificates are expiring within {within} {label}.", result="ok")
        return
    lines = [f"{line_of(one)}, certificate of {one['subject']} expires on {one['expires']}" for one in found]
    raise call.failed("\n".join(lines), result="error", expired=found)


def is_secured(listener: Mapping[str, Any]) -> bool:
    """Whether TLS is spoken there, in a cluster that has certificates."""
    return listener["protocol"] in ("amqp/ssl", "https", "clustering")
