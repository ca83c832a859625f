"""Looks at the ports of this machine: which are free, which of a cluster's are taken, and by whom.

Decides nothing about a cluster; it is asked before nodes start, so that an error names the node, the port and the
culprit.
"""

import errno
import os
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from broker.node.configuration import Address, Cluster, Node

_LISTENING = "0A"


def choose_free_ports(cluster: Cluster) -> Cluster:
    """The same cluster with a free port of this machine wherever it says 0, so that every node knows every other's.

    Raises OSError if an address cannot be listened on.
    """
    held: list[socket.socket] = []
    try:
        return replace(cluster, nodes=tuple(_with_free_ports(node, held) for node in cluster.nodes))
    finally:
        # Given back only when all are chosen, so that no number is given out twice.
        for probe in held:
            probe.close()


def taken_ports(node: Node) -> list[str]:
    """What keeps this node from listening, one line for each of its addresses that cannot be had."""
    found = []
    for door, address in node.doors.items():
        try:
            with _socket(address) as probe:
                # As the node itself will: connections of an earlier run that linger do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address.host, address.port))
                probe.listen(1)
        except OSError as error:
            found.append(f"{node.name}: {door} {address}: {explain(address, error)}")
    return found


def explain(address: Address, error: OSError) -> str:
    """Why listening on an address failed, with the process that has it if that can be seen."""
    if error.errno == errno.EADDRINUSE:
        owner = owner_of(address.port)
        return f"is in use by {owner}" if owner else "is in use by another process"
    if error.errno == errno.EADDRNOTAVAIL:
        return "is not an address of this machine"
    return error.strerror or str(error)


def owner_of(port: int) -> str | None:
    """The process of this machine that listens on a TCP port, as `name (pid 123)`; None where that cannot be seen."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(entry) in sockets for entry in folder.iterdir()):
                name = (folder.parent / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} (pid {folder.parent.name})"
        except OSError:
            continue  # another user's process, or one that just ended
    return None


def _listening_inodes(port: int) -> list[str]:
    inodes = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = (line.split() for line in lines)
        inodes += [row[9] for row in rows if row[3] == _LISTENING and re.search(rf":{port:04X}$", row[1])]
    return inodes


def _with_free_ports(node: Node, held: list[socket.socket]) -> Node:
    chosen: dict[str, Any] = {door: _free(address, held) for door, address in node.doors.items()}
    return replace(node, **chosen)


def _free(address: Address, held: list[socket.socket]) -> Address:
    if address.port:
        return address
    probe = _socket(address)
    held.append(probe)
    probe.bind((address.host, 0))
    return replace(address, port=probe.getsockname()[1])


def _socket(address: Address) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)


def is_local(address: Address) -> bool:
    """Whether this machine can listen on that address."""
    try:
        with _socket(address) as probe:
            probe.bind((address.host, 0))
    except OSError:
        return False
    return True
