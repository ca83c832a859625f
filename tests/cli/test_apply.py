"""`warren apply` on a running cluster of fake nodes: it grows, and shrinks with --prune; what is too much is listed."""

import json

import pytest

from broker.cli.apply import _surplus
from broker.cli.entry import run
from broker.node.configuration import load
from tests.cli.fake_cluster import DOORS, THREE_NODES, fake_warren

FOUR_NODES = THREE_NODES.replace("policies:", f"- {{name: n4, {DOORS}}}\npolicies:")


@pytest.fixture
def file(tmp_path):
    """Of a cluster of its own, since its nodes come and go."""
    path = tmp_path / "cluster.yaml"
    path.write_text(THREE_NODES)
    up = fake_warren("up", str(path), "--detach")
    out, err = up.communicate(timeout=30)
    assert up.returncode == 0, out + err
    yield path
    fake_warren("down", "--config", str(path)).communicate(timeout=30)


class FakeRoad:
    """To a cluster with two policies of each kind."""

    def ask_any(self, request):
        rows = [{"name": name, "vhost": "/"} for name in ("limit", "other")]
        return {"rows": rows if request["kind"].endswith("policies") else []}


def test_what_definitions_name_is_not_too_much(tmp_path):
    policy = {"vhost": "/", "name": "limit", "pattern": "", "definition": {"max-length": 5}}
    imposed = {"component": "operator_policy", "vhost": "/", "name": "limit", "value": policy}
    (tmp_path / "rabbit.json").write_text(json.dumps({"policies": [policy], "parameters": [imposed]}))
    (tmp_path / "cluster.yaml").write_text("nodes: [n1]\ndefinitions: rabbit.json\n")
    surplus = _surplus(FakeRoad(), load(tmp_path / "cluster.yaml"))
    assert [what for what, _ in surplus] == ["policy other in vhost /", "operator policy other in vhost /"]


@pytest.mark.slow
def test_a_cluster_grows_and_shrinks(file, capsys):
    def warren(*words):
        code = run([*words])
        return code, *capsys.readouterr()

    def processes():
        return list(json.loads((file.parent / "data" / "run.json").read_text())["nodes"])

    file.write_text(FOUR_NODES.replace("policies: [ha-all]", "users: [{name: ann, password: x}]"))
    code, out, err = warren("apply", str(file), "--json")
    assert (code, err) == (0, "")
    surplus = ["user guest", "policy ha-all in vhost /"]
    assert json.loads(out) == {"set": [], "joined": ["n4"], "removed": [], "surplus": surplus, "outdated": []}
    assert processes() == ["n1", "n2", "n3", "n4"]
    file.write_text(THREE_NODES)
    assert warren("apply", str(file)) == (
        0,
        "not in the file: node n4 (--prune removes it)\ncluster test is what the file says, and more\n",
        "",
    )
    file.write_text(THREE_NODES + "settings: {heartbeat: 7}\n")
    hint = "settings count from the next start only: `warren restart` n1, n2, n3, one after the other\n"
    assert warren("apply", str(file))[1].startswith(hint)
    file.write_text(THREE_NODES)
    assert warren("kill", "n3", "--config", str(file))[0] == 0
    code, out, err = warren("apply", str(file), "--prune")
    assert (code, err) == (0, "")
    assert out == "n4 was taken out\ncluster test is what the file says\n"
    assert processes() == ["n1", "n2", "n3"]
    assert warren("ctl", "forget_cluster_node", "n3", "--config", str(file))[0] == 0
    back = "n3 was started\nn3 has joined\ncluster test is what the file says\n"
    assert warren("apply", str(file)) == (0, back, "")
    assert warren("kill", "n3", "--config", str(file))[0] == 0
    assert warren("kill", "n2", "--config", str(file))[0] == 0
    file.write_text(f"cluster: {{name: test, cookie: secret}}\nnodes: [{{name: n1, {DOORS}}}]\npolicies: [ha-all]\n")
    assert warren("apply", str(file), "--prune") == (
        1,
        "",
        "warren: n3 stays: of n1, n2 only n1 would run, which is no majority (`warren start n2` first)\n",
    )
