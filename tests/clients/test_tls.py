"""Real clients over TLS: with a password, with a certificate, and by the name of the host they ask for."""

import asyncio
import base64
import http.client
import json
import socket
import ssl

import aio_pika
import pika
import pytest
import trustme
from pika.exceptions import ProbableAuthenticationError

from tests.clients.conftest import warren

pytestmark = pytest.mark.slow

PORTS = 'amqp: "127.0.0.1:0", amqps: "127.0.0.1:0", http: "127.0.0.1:0", https: "127.0.0.1:0", link: "127.0.0.1:0"'
CLUSTER = f"""\
cluster: {{name: sealed, cookie: crumbs}}
nodes: [{{name: n1, {PORTS}}}]
users:
- {{name: guest, password: guest, tags: [administrator], permissions: {{"/": [".*", ".*", ".*"]}}}}
- {{name: ann, password: unknown, permissions: {{"/": [".*", ".*", ".*"]}}}}
settings: {{ssl_cert_login_from: common_name}}
tls:
  cert: localhost.pem
  key: localhost.key
  ca: ca.pem
  verify: peer
  sni: {{other.example: {{cert: other.pem, key: other.key}}}}
"""


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def node(authority, tmp_path_factory):
    """The status of a running node of one, with its doors."""
    folder = tmp_path_factory.mktemp("sealed")
    for name, hosts in (("localhost", ["localhost", "127.0.0.1"]), ("other", ["other.example"])):
        certificate = authority.issue_cert(*hosts)
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "cluster.yaml").write_text(CLUSTER)
    said = warren(folder, "up", "--detach")
    try:
        (found,) = json.loads(warren(folder, "status", "--json"))["nodes"]
        assert f"amqps://guest:guest@{found['amqps']}/%2F" in said
        yield found
    finally:
        warren(folder, "down")


@pytest.fixture
def context(authority):
    """context(user) -> a client's TLS, with a certificate for that user if there is one."""

    def make(user=None):
        made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        authority.configure_trust(made)
        if user is not None:
            authority.issue_cert(common_name=user).configure_cert(made)
        return made

    return make


def parameters(node, context, credentials):
    port = int(node["amqps"].rpartition(":")[2])
    tls = pika.SSLOptions(context, "localhost")
    return pika.ConnectionParameters("127.0.0.1", port, credentials=credentials, ssl_options=tls)


def test_pika_with_a_password_comes_in_with_or_without_a_certificate(node, context):
    for user in (None, "nobody"):
        credentials = pika.PlainCredentials("guest", "guest")
        with pika.BlockingConnection(parameters(node, context(user), credentials)) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.confirm_delivery()
            body = b"0123456789" * 100_000
            channel.basic_publish("", queue, body, mandatory=True)
            assert channel.basic_get(queue, auto_ack=True)[2] == body


def test_pika_with_a_certificate_needs_no_password(node, context):
    external = pika.credentials.ExternalCredentials()
    with pika.BlockingConnection(parameters(node, context("ann"), external)) as connection:
        assert connection.channel().is_open
    with pytest.raises(ProbableAuthenticationError, match=r"403.*EXTERNAL"):
        pika.BlockingConnection(parameters(node, context("nobody"), external))


def test_aio_pika_both_ways(node, context):
    async def run(url, user):
        async with await aio_pika.connect(url, ssl=True, ssl_context=context(user)) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("", exclusive=True)
            await channel.default_exchange.publish(aio_pika.Message(b"sealed"), queue.name)
            message = await queue.get(timeout=5)
            assert message.body == b"sealed"
            await message.ack()

    port = node["amqps"].rpartition(":")[2]
    asyncio.run(run(f"amqps://guest:guest@localhost:{port}/", None))
    asyncio.run(run(f"amqps://localhost:{port}/?auth=external", "ann"))


def test_the_certificate_is_that_of_the_host_which_is_asked_for(node, context):
    host, _, port = node["amqps"].rpartition(":")
    for name, hosts in (("localhost", ["localhost"]), ("other.example", ["other.example"])):
        with socket.create_connection((host, int(port))) as plain:
            # The handshake itself checks that the certificate is for this name.
            secured = context().wrap_socket(plain, server_hostname=name)
            shown = [value for kind, value in secured.getpeercert()["subjectAltName"] if kind == "DNS"]
            secured.close()
        assert shown == hosts


def test_the_http_api_is_there_over_tls(node, context):
    """Nobody is asked for a certificate, also where AMQP clients are."""
    host, _, port = node["https"].rpartition(":")
    login = {"authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}
    api = http.client.HTTPSConnection("localhost", int(port), context=context(), timeout=10)
    api.request("GET", "/api/overview", headers=login)
    answer = api.getresponse()
    assert answer.status == 200
    assert "https" in [listener["protocol"] for listener in json.loads(answer.read())["listeners"]]
    api.close()
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET /api/overview HTTP/1.1\r\n\r\n")
        plain.settimeout(5)
        assert b"HTTP/1.1 200" not in plain.recv(1000)


def test_a_plain_client_at_the_wrong_door_hurts_nobody(node, context):
    host, _, port = node["amqps"].rpartition(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"AMQP\0\0\x09\x01")
        plain.settimeout(5)
        while plain.recv(100):
            pass
    credentials = pika.PlainCredentials("guest", "guest")
    with pika.BlockingConnection(parameters(node, context(), credentials)) as connection:
        assert connection.is_open
