"""Addresses, and the ports of this machine: which are free, which are taken and by whom."""

import os
import socket
from dataclasses import replace

import pytest

from broker.node.configuration import Address, load
from broker.node.configuration_ports import choose_free_ports, owner_of, taken_ports


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "cluster.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5672", Address("127.0.0.1", 5672)),
        ("[::1]:0", Address("::1", 0)),
        ("broker.example:1", Address("broker.example", 1)),
    ],
)
def test_addresses(text, address):
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "5672", ":5672", "a:", "a:-1", "a:65536", "::1:5672", "a b:1", "a/b:1", "a:١"])
def test_what_is_not_an_address(text):
    with pytest.raises(ValueError, match="use host:port"):
        Address.parse(text)


def test_where_an_address_is_dialled():
    assert Address("0.0.0.0", 1).reachable == Address("127.0.0.1", 1)
    assert Address("::", 1).reachable == Address("::1", 1)
    assert not Address("0.0.0.0", 1).is_loopback
    assert Address("127.0.0.9", 1).is_loopback


def test_free_ports_are_chosen_before_anything_starts(write):
    doors = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'
    cluster = load(write(f"nodes: [{{name: a, {doors}}}, {{name: b, {doors}}}, {{name: c, {doors}}}]"))
    one, *others = cluster.nodes
    cluster = choose_free_ports(replace(cluster, nodes=(replace(one, amqps=Address("127.0.0.1", 0)), *others)))
    ports = [address.port for node in cluster.nodes for address in node.doors.values()]
    assert len(set(ports)) == 10
    assert 0 not in ports
    assert taken_ports(cluster.nodes[0]) == []


def test_a_taken_port_is_told_with_its_owner(write):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        free = 'http: "127.0.0.1:0", link: "127.0.0.1:0"'
        cluster = load(write(f'nodes: [{{name: a, amqp: "127.0.0.1:{port}", {free}}}]'))
        (line,) = taken_ports(cluster.nodes[0])
        assert line.startswith(f"a: amqp 127.0.0.1:{port}: is in use by ")
        assert owner_of(port) is None or f"(pid {os.getpid()})" in line
