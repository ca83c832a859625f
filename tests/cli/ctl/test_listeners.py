"""What a node listens on, and whether its ports and certificates are as they should be."""

import json
import socket
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from tests.cli.ctl.fake_members import FakeMembers
from tests.cli.ctl.fake_node import FakeNode


@pytest.fixture
def node(monkeypatch, capsys):
    return FakeNode(monkeypatch, capsys)


@pytest.fixture
def members(monkeypatch):
    return FakeMembers(monkeypatch, "n1", "n2")


def test_listeners(node, members):
    done = node.ctl("listeners")
    assert done.out.splitlines() == [
        "Asking node rabbit@n1 to report its protocol listeners ...",
        "Interface: [::1], port: 25672, protocol: clustering, purpose: inter-node and CLI tool communication",
        "Interface: 127.0.0.1, port: 5672, protocol: amqp, purpose: AMQP 0-9-1",
        "Interface: 0.0.0.0, port: 15672, protocol: http, purpose: HTTP API",
    ]
    told = json.loads(node.ctl("listeners", "--formatter", "json", "-n", "n2").out)
    assert told["node"] == "rabbit@n2"
    assert [one["protocol"] for one in told["listeners"]] == ["clustering", "amqp", "http"]


def test_a_port(node, members):
    assert (
        node.ctl("check_port_listener", "5672", "-q").out == "A listener for port 5672 is running on node rabbit@n1.\n"
    )
    done = node.ctl("check_port_listener", "1")
    assert (done.code, done.out) == (69, "Asking node rabbit@n1 if there's an active listener on port 1 ...\n")
    assert done.err == (
        "No listener for port 1 is active on node rabbit@n1. "
        "Found listeners that use the following ports: 25672, 5672, 15672\n"
    )
    done = node.ctl("check_port_listener", "x")
    assert done.code == 65
    assert done.err.startswith("Error (argument validation): Bad argument: Argument must be a positive integer\n")


def test_a_protocol(node, members):
    for name in ("amqp", "AMQP091", "http"):
        assert node.ctl("check_protocol_listener", name).code == 0
    done = node.ctl("check_protocol_listener", "amqp/ssl", "-q")
    assert done == (
        69,
        "",
        "Error:\nNo listener for protocol amqp/ssl is active on node rabbit@n1. "
        "Found listeners for the following protocols: clustering, amqp, http\n",
    )
    members.answers["n1"]["members"]["n1"]["drained"] = True
    assert node.ctl("check_protocol_listener", "amqp").code == 69


def test_connecting_to_every_port(node, members):
    with socket.create_server(("127.0.0.1", 0)) as open_door, socket.create_server(("127.0.0.1", 0)) as closed:
        address = "127.0.0.1:{}".format
        doors = {"link": address(open_door.getsockname()[1]), "http": address(closed.getsockname()[1]), "amqp": None}
        members.says("n1", **doors)
        ports = sorted(int(door[10:]) for door in doors.values() if door)
        text = f"Successfully connected to ports {ports[0]}, {ports[1]} on node rabbit@n1.\n"
        assert node.ctl("check_port_connectivity", "-q") == (0, text, "")
        closed.close()
        done = node.ctl("check_port_connectivity", "-q")
    assert done.code == 69
    assert done.err.splitlines()[1:] == [
        "Connection to ports of the following listeners on node rabbit@n1 failed: ",
        f"Interface: 127.0.0.1, port: {doors['http'][10:]}, protocol: http, purpose: HTTP API",
    ]


@contextmanager
def shown(certificate, authority):
    """A door that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    authority.configure_trust(context)

    def serve():
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            try:
                context.wrap_socket(taken, server_side=True).close()
            except OSError:
                taken.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("days", "code", "word"), [(300, 0, ""), (5, 69, "expires on"), (-1, 69, "expired")])
def test_certificates(node, members, monkeypatch, tmp_path, days, code, word):
    authority = pytest.importorskip("trustme").CA()
    certificate = authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=days))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    file = tmp_path / "cluster.yaml"
    file.write_text("nodes: [n1]\ntls: {cert: cert.pem, key: key.pem, ca: ca.pem}\n")
    monkeypatch.setenv("WARREN_CONFIG", str(file))
    with shown(certificate, authority) as address:
        members.says("n1", amqps=address, link=None)
        done = node.ctl("check_certificate_expiration", "--unit", "days", "--within", "30", "-q")
    assert done.code == code
    assert (
        (done.out, done.err) == ("No certificates are expiring within 30 days.\n", "") if not word else word in done.err
    )


def test_without_certificates_none_expires(node, members, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WARREN_CONFIG", raising=False)
    done = node.ctl("check_certificate_expiration", "--within", "1", "-q")
    assert (done.code, done.out) == (0, "No certificates are expiring within 1 week.\n")
    assert node.ctl("check_certificate_expiration", "--unit", "hours").code == 64


def test_a_node_that_does_not_answer(node, members):
    for check in ("listeners", "check_port_connectivity", "check_certificate_expiration"):
        assert node.ctl(check, "-n", "n9").code == 69
