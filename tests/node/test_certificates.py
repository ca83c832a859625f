"""`tls:` of cluster.yaml: a cluster whose links and commands need a certificate of its authority (S17)."""

import json
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trustme

from broker.node.certificates import client_context, contexts_of
from broker.node.configuration import Cluster, ConfigurationError, Tls, load
from broker.peers.admin import NoAnswer, ask_once
from broker.world.network import TcpNetwork

PORTS = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'
CLUSTER = f"""\
cluster: {{name: sealed, cookie: crumbs}}
nodes: [{{name: n1, {PORTS}}}, {{name: n2, {PORTS}}}, {{name: n3, {PORTS}}}]
policies: [ha-all]
tls: {{cert: node.pem, key: node.key, ca: ca.pem}}
"""


def write_certificates(folder: Path, authority: trustme.CA) -> Tls:
    certificate = authority.issue_cert("nodes")
    certificate.private_key_pem.write_to_path(folder / "node.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "node.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return Tls(folder / "node.pem", folder / "node.key", folder / "ca.pem")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path, trustme.CA())
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    return tmp_path


def warren(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "broker", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_tls_there_are_no_contexts() -> None:
    assert contexts_of(None) is None


def test_both_sides_ask_for_a_certificate(folder: Path) -> None:
    contexts = contexts_of(load(folder / "cluster.yaml").tls)
    assert contexts is not None
    assert contexts.listener.verify_mode == contexts.dialler.verify_mode == ssl.CERT_REQUIRED


def test_the_files_survive_the_way_to_the_nodes(folder: Path) -> None:
    cluster = load(folder / "cluster.yaml")
    assert Cluster.from_json(json.loads(json.dumps(cluster.as_json()))).tls == cluster.tls


def test_clients_are_asked_for_a_certificate_as_the_file_says(folder: Path) -> None:
    for words, mode in (
        ("", ssl.CERT_NONE),
        (", verify: none", ssl.CERT_NONE),
        (", verify: peer", ssl.CERT_OPTIONAL),
        (", verify: peer, fail_if_no_peer_cert: true", ssl.CERT_REQUIRED),
    ):
        (folder / "cluster.yaml").write_text(CLUSTER.replace("ca.pem}", f"ca.pem{words}}}"))
        tls = load(folder / "cluster.yaml").tls
        assert tls is not None
        assert client_context(tls).verify_mode == mode
        links = contexts_of(tls)
        assert links is not None
        assert links.listener.verify_mode == ssl.CERT_REQUIRED, "links are mutual, whatever clients have to show"


def test_hosts_with_certificates_of_their_own(folder: Path) -> None:
    (folder / "cluster.yaml").write_text(
        CLUSTER.replace("ca.pem}", "ca.pem, sni: {Shop.Example: {cert: node.pem, key: node.key}}}")
    )
    cluster = load(folder / "cluster.yaml")
    assert cluster.tls is not None
    assert list(cluster.tls.sni) == ["shop.example"]
    assert Cluster.from_json(json.loads(json.dumps(cluster.as_json()))).tls == cluster.tls
    assert client_context(cluster.tls).sni_callback is not None
    (folder / "node.key").write_text("no key")
    with pytest.raises(ConfigurationError) as refused:
        load(folder / "cluster.yaml")
    assert [line.split(": ")[1] for line in refused.value.problems] == ["tls", "tls.sni.shop.example"]


@pytest.mark.parametrize(
    ("broken", "said"), [("node.pem", "tls.cert: there is no file"), ("ca.pem", "tls.ca: there is no file")]
)
def test_a_missing_file_is_one_line(folder: Path, broken: str, said: str) -> None:
    (folder / broken).unlink()
    with pytest.raises(ConfigurationError, match=said):
        load(folder / "cluster.yaml")


def test_files_that_do_not_go_together_are_one_line(folder: Path) -> None:
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(folder / "node.key")
    with pytest.raises(ConfigurationError, match="do not go together"):
        load(folder / "cluster.yaml")


@pytest.mark.slow
def test_a_cluster_behind_certificates_fails_over_and_lets_no_stranger_in(folder: Path) -> None:
    warren(folder, "up", "--detach")
    try:
        warren(folder, "publish", "orders", "kept", "--declare", "--persistent")
        warren(folder, "wait", "synchronised", "orders", "--timeout", "20")
        warren(folder, "kill", "--master-of", "orders", "--wait")
        assert "kept" in warren(folder, "get", "orders")
        nodes = json.loads(warren(folder, "status", "--json"))["nodes"]
        link = next(node["link"] for node in nodes if node["state"] == "running")
        trio.run(_stay_outside, folder, link)
    finally:
        warren(folder, "down")


async def _stay_outside(folder: Path, link: str) -> None:
    """With the cookie, but plainly, or with a certificate of somebody else's authority."""
    others = folder / "others"
    others.mkdir()
    foreign = contexts_of(write_certificates(others, trustme.CA()))
    assert foreign is not None
    for tls in (None, foreign.dialler):
        with pytest.raises(NoAnswer):
            await ask_once(
                TcpNetwork(), link, {"do": "status"}, cluster="sealed", cookie="crumbs", timeout_s=3, tls=tls
            )
