"""What shells are told when a word is completed: commands, options and their values; no cluster is needed for it."""

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete

from broker.cli.entry import COMMANDS, cli, run


def completed(*words):
    """What may stand for the last word."""
    *before, begun = words
    return [item.value for item in BashComplete(cli, {}, "warren", "").get_completions(before, begun)]


def test_commands_and_groups():
    assert completed("st") == ["status", "stop", "start"]
    assert completed("") == list(COMMANDS)
    assert completed("ctl", "set_p") == ["set_permissions", "set_policy", "set_parameter"]
    assert completed("ctl", "-n", "n1", "list_feature") == ["list_feature_flags"]
    assert completed("policy", "pre") == ["preview"]


def test_options_and_their_values(tmp_path, monkeypatch):
    monkeypatch.setenv("WARREN_CONFIG", str(tmp_path / "none.yaml"))
    assert completed("status", "--j") == ["--json"]
    assert completed("kill", "--mast") == ["--master-of"]
    assert completed("ctl", "list_queues", "--on") == ["--online"]
    assert completed("ctl", "list_queues", "--formatter", "") == ["table", "json", "csv", "pretty_table"]
    assert completed("rebalance", "") == ["all", "classic", "quorum"]


def test_what_there_is_not_is_not_complained_of(capsys):
    completed("ctl", "nosuch", "")
    completed("nosuch", "--")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_script(shell, capsys):
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_WARREN_COMPLETE={shell}_complete" in script


def test_bash_completes_a_word(tmp_path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    warren = tmp_path / "warren"
    warren.write_text(f'#!{bash}\nexec {sys.executable} -m broker "$@"\n')
    warren.chmod(0o755)
    script = (
        'eval "$(warren completion bash)"\n'
        "COMP_WORDS=(warren ctl check_p) COMP_CWORD=2\n"
        "_warren_completion warren\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert set(done.stdout.split()) == {"check_port_connectivity", "check_port_listener", "check_protocol_listener"}
