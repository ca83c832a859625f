"""`up` and `down` as processes: what is said about nodes that fail, and how it ends."""

import json
import os
import signal
import socket
import subprocess

from broker.cli.entry import run
from broker.cli.run_file import RunFile
from tests.cli.fake_cluster import fake_warren


def finish(up: subprocess.Popen[str]) -> tuple[int, list[str], list[str]]:
    out, err = up.communicate(timeout=30)
    return up.returncode, out.splitlines(), err.splitlines()


def read_until(up: subprocess.Popen[str], beginning: str) -> list[str]:
    lines = []
    for line in up.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"{beginning!r} never came: {lines}")


def test_a_life_of_up_with_a_missing_node_a_foreign_kill_and_ctrl_c(write_cluster):
    up = fake_warren("up", str(write_cluster), FAKE_NODES=json.dumps({"n3": "crash"}))
    lines = read_until(up, "cluster ready")
    assert lines[0].startswith(f"starting cluster test from {write_cluster}: n1, n2, n3 (data in ")
    assert "n3 ended with code 3: no space left on device; n1 and n2 have a majority" in lines
    assert [line.split()[0] for line in lines[-3:-1]] == ["n1", "n2"]
    assert lines[-3].startswith("n1  amqp://guest:guest@127.0.0.1:")
    assert lines[-1] == "cluster ready: 2 of 3 nodes, waiting for n3"
    victim = RunFile.read(write_cluster.parent / "data").nodes["n1"].pid
    os.kill(victim, signal.SIGKILL)
    assert read_until(up, "n1 was killed")[-1].startswith("n1 was killed (signal 9); no majority is left: 1 of 3 run, ")
    up.send_signal(signal.SIGINT)
    code, out, _ = finish(up)
    assert (code, out) == (1, ["stopping (once more kills)"])
    assert not (write_cluster.parent / "data" / "run.json").exists()


def test_no_majority_names_who_is_waited_for_and_starts_over_cleanly(write_cluster):
    code, _, err = finish(
        fake_warren("up", str(write_cluster), "--detach", FAKE_NODES=json.dumps({"n2": "crash", "n3": "crash"}))
    )
    assert code == 1
    assert len(err) == 1
    assert err[0].startswith("warren: no majority: ")
    assert "n2 ended with code 3: no space left on device; n3 ended with code 3" in err[0]


def test_ctrl_c_ends_with_0_and_down_finds_nothing_then(write_cluster, capsys):
    one = write_cluster.read_text().splitlines()
    write_cluster.write_text("\n".join([one[0], "data: memory", *one[1:3]]))
    up = fake_warren("up", "--config", str(write_cluster))
    assert "cluster ready: 1 node in " in read_until(up, "cluster ready")[-1]
    up.send_signal(signal.SIGINT)
    assert finish(up)[0] == 0
    assert run(["down", "--config", str(write_cluster)]) == 0
    assert capsys.readouterr().out == "cluster test does not run here\n"


def test_nodes_that_outlived_their_supervisor_are_found(write_cluster, capsys):
    one = write_cluster.read_text().splitlines()
    write_cluster.write_text("\n".join(one[:3]))
    up = fake_warren("up", str(write_cluster))
    read_until(up, "cluster ready")
    up.kill()
    up.communicate()
    assert run(["up", str(write_cluster)]) == 1
    assert "still runs although its supervisor is gone: `warren down` ends it" in capsys.readouterr().err
    assert run(["down", "--config", str(write_cluster)]) == 0


def test_a_taken_port_is_told_before_anything_starts(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        path = tmp_path / "cluster.yaml"
        path.write_text(f'nodes: [{{name: a, amqp: "127.0.0.1:{port}", http: "127.0.0.1:0", link: "127.0.0.1:0"}}]')
        assert run(["up", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"warren: a: amqp 127.0.0.1:{port}: is in use by ")
    assert not (tmp_path / "data" / "a").exists()


def test_fresh_removes_nothing_that_is_not_a_nodes_folder(tmp_path, capsys):
    (tmp_path / "data" / "n1").mkdir(parents=True)
    (tmp_path / "data" / "n1" / "novel.txt").write_text("call me Ishmael")
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [n1]")
    assert run(["up", str(path), "--fresh"]) == 1
    assert "does not look like the folder of a node" in capsys.readouterr().err
    assert (tmp_path / "data" / "n1" / "novel.txt").exists()


def test_nodes_of_other_machines_are_not_started(tmp_path, capsys):
    path = tmp_path / "cluster.yaml"
    path.write_text('cluster: {cookie: x}\nnodes: [{name: a, link: "192.0.2.1:25672"}]')
    assert run(["up", str(path)]) == 1
    assert capsys.readouterr().err == "warren: none of the nodes' link addresses is one of this machine\n"
