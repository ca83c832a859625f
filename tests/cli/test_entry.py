"""The table of commands: each has help with an example, misuse is one line and exit code 2, help is quick."""

import os
import subprocess
import sys

import pytest

from broker.cli.entry import COMMANDS, cli, run
from broker.cli.policy import COMMANDS as POLICY_COMMANDS

LATER = ()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in LATER])
def test_every_command_has_help_with_an_example(name, capsys):
    assert run([name, "--help"]) == 0
    assert "xample" in capsys.readouterr().out


@pytest.mark.parametrize("name", POLICY_COMMANDS)
def test_every_policy_command_has_help_with_an_example(name, capsys):
    assert run(["policy", name, "--help"]) == 0
    assert "xample" in capsys.readouterr().out


def test_help_names_every_command_and_imports_none():
    code = (
        "import sys; from broker.cli.entry import run; run(['--help'])\n"
        "heavy = [m for m in ('trio', 'pydantic', 'yaml', 'rich') if m in sys.modules]\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


QUESTIONS = (
    "status",
    "status --json",
    "wait ready",
    "queues",
    "events",
    "policy list",
    "publish orders x",
    "get orders",
    "partition n1 / n2",
    "heal",
    "ctl -q list_policies",
    "ctl await_online_nodes 1",
    "ctl help force_boot",
    "completion bash",
)
HEAVY = (
    "trio",
    "asyncio",
    "pydantic",
    "yaml",
    "rich",
    "hypercorn",
    "starlette",
    "ssl",
    "broker.storage",
    "broker.vhosts",
)


def test_what_scripts_ask_often_costs_no_heavy_import(cluster_file):
    """A command lasts a tenth of a second, of which trio alone would double: it polls a cluster that has work to do."""
    code = (
        "import sys; from broker.cli.entry import run\n"
        f"failed = [line for line in {QUESTIONS} if run(line.split())]\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(', '.join(failed + heavy) or 0)"
    )
    environment = {**os.environ, "WARREN_CONFIG": str(cluster_file)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_the_table_says_what_the_commands_are():
    for name in COMMANDS:
        if name not in LATER:
            command = cli.get_command(None, name)
            assert command is not None, name
            assert command.name in (name, "command"), name


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["explode"], "warren: No such command 'explode' (see warren --help)"),
        (["stop"], "warren stop: Missing argument 'NAME...' (see warren stop --help)"),
        (["kill"], "warren kill: name the nodes, or a queue with --master-of (see warren kill --help)"),
        (["kill", "n1", "--master-of", "q"], "warren kill: name the nodes, or a queue with --master-of (see "),
        (["wait", "soon"], "warren wait: 'soon': wait for ready, or synchronised [QUEUE] (see "),
        (["partition", "n1", "n2"], "warren partition: put a / between the groups, as in: n1 / n2 n3 (see "),
        (["partition", "n1", "/", "n9"], "warren partition: there is no node n9: n1, n2, n3 (see "),
        (["partition", "n1", "/", "n1"], "warren partition: n1 is named twice (see "),
        (["partition", "--one-way", "n1", "/", "n2", "/", "n3"], "warren partition: --one-way takes two groups (see "),
        (["publish", "orders"], "warren publish: give the queue, and then the texts (see "),
        (["policy", "set", "p", "", "{"], "warren policy set: DEFINITION is not JSON: "),
        (["node", "n9"], "warren: there is no node n9 in "),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(arguments, line, capsys, write_cluster, monkeypatch):
    monkeypatch.setenv("WARREN_CONFIG", str(write_cluster))
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["policy"], ["recovered"]])
def test_a_group_without_a_command_shows_its_page(arguments, capsys):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        " ".join(err.splitlines()[0].split())
        == f"Usage: {' '.join(['warren', *arguments])} [OPTIONS] COMMAND [ARGS]..."
    )
    assert "Commands:" in err.splitlines()


def test_a_wrong_file_is_one_line_for_each_fault_and_exit_code_2(tmp_path, capsys):
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [{name: a, colour: red}]\nsettings: {heartbeat: -1}\n")
    assert run(["up", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"warren: {path}:1: nodes[0].colour: unknown key: (known: name, amqp, amqps, http, https, link, settings)",
        f"warren: {path}:2: settings.heartbeat: -1: must be at least 0",
    ]
    assert not (tmp_path / "data").exists()


def test_a_cluster_that_does_not_run(write_cluster, capsys):
    config = ["--config", str(write_cluster)]
    assert run(["stop", "n1", *config]) == 1
    assert "no cluster was started here with `warren up`" in capsys.readouterr().err
    assert run(["down", *config]) == 0
    assert run(["logs", *config]) == 1
    assert "nothing was written yet" in capsys.readouterr().err


def test_a_link_port_of_zero_needs_the_supervisor(write_cluster, capsys):
    assert run(["node", "n1", "--config", str(write_cluster)]) == 2
    assert "port 0 for a link is only possible with `warren up`" in capsys.readouterr().err


def test_the_reader_of_the_output_may_leave():
    command = f"{sys.executable} -m broker --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
