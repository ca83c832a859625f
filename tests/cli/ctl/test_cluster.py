"""The commands about nodes and the cluster: what they ask, what they print, how they end. The nodes are a fake."""

import json
from dataclasses import asdict
from errno import EACCES
from pathlib import Path

import pytest

from broker.cli.ctl import offline
from broker.cli.ctl.failures import CtlFailure, Misuse
from broker.cli.entry import run
from broker.node.configuration import load
from broker.node.membership import Orders
from broker.world.disk import RealDisk


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [n1, n2, n3]\n")
    (tmp_path / "data" / "n2").mkdir(parents=True)
    return load(path)


def orders_of(cluster, name="n2"):
    content = json.loads((cluster.node_folder(name) / "membership.json").read_text())
    return content["orders"], content["members"]


def test_a_node_whose_process_is_gone_is_given_orders_through_its_folder(cluster):
    offline.order_boot(cluster, "n2")
    assert orders_of(cluster) == ({"reset": False, "force_boot": True, "forget": []}, None)
    offline.order_to_forget(cluster, "n2", "n1")
    offline.order_to_forget(cluster, "n2", "n3")
    assert orders_of(cluster) == ({"reset": False, "force_boot": True, "forget": ["n1", "n3"]}, None)


@pytest.mark.parametrize("gone", ["n9", "n2", "n1"])
def test_who_is_no_member_is_not_forgotten(cluster, gone):
    if gone == "n1":
        offline.order_to_forget(cluster, "n2", "n1")
    with pytest.raises(CtlFailure, match=r"The node selected is not in the cluster\."):
        offline.order_to_forget(cluster, "n2", gone)


def test_nobody_writes_into_the_folder_of_a_node_that_runs(cluster):
    disk = RealDisk(cluster.node_folder("n2"))
    disk.claim()
    with pytest.raises(Misuse, match="requires the target node to be stopped"):
        offline.order_boot(cluster, "n2")
    with pytest.raises(Misuse, match="requires the target node to be stopped"):
        offline.check_renaming(cluster, "n2", "m2")
    disk.release()
    offline.check_renaming(cluster, "n2", "m2")


def test_a_node_without_a_folder_here_cannot_be_given_orders(cluster):
    with pytest.raises(CtlFailure, match=r"rabbit@n1 does not answer, and has no data folder here"):
        offline.order_boot(cluster, "n1")


def test_a_folder_is_renamed_with_its_node(cluster):
    (cluster.node_folder("n2") / "membership.json").write_text(
        json.dumps({"members": {"n1": "a:1", "n2": "a:2"}, "orders": asdict(Orders())})
    )
    offline.rename(cluster, "n3", "m3")  # it is on another machine
    offline.rename(cluster, "n2", "m2")
    assert not cluster.node_folder("n2").exists()
    assert orders_of(cluster, "m2")[1] == {"n1": "a:1", "m2": "a:2"}
    (cluster.data / "n3").mkdir()
    with pytest.raises(CtlFailure, match="is there already"):
        offline.check_renaming(cluster, "n3", "m2")


def test_a_folder_that_cannot_be_renamed_is_left_to_people(cluster, monkeypatch):
    def refuse(self, target):
        raise PermissionError(EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    why = "rabbit@n2 is rabbit@m2 for its cluster now, but .* Permission denied .rename .*/n2 to m2 by hand"
    with pytest.raises(CtlFailure, match=why):
        offline.rename(cluster, "n2", "m2")


def test_an_order_that_no_process_took_is_answered_for_by_the_node_it_is_for(tmp_path, capsys):
    path = tmp_path / "cluster.yaml"
    path.write_text('nodes: [{name: n2, link: "127.0.0.1:1"}]\n')  # nobody listens there
    (tmp_path / "data" / "n2").mkdir(parents=True)
    assert run(["ctl", "--config", str(path), "--node", "n2", "--formatter", "json", "force_boot"]) == 0
    assert json.loads(capsys.readouterr().out) == {"node": "rabbit@n2", "result": "ok"}
