"""The group itself: its help, the general options wherever they stand, and how a call without an answer ends."""

import json

import pytest

from broker.cli.ctl import call
from broker.cli.ctl.command import CtlCommand
from broker.cli.ctl.group import ctl
from broker.cli.ctl.table import COMMANDS, SECTIONS
from broker.cli.entry import run
from tests.cli.ctl.fake_node import FakeNode

USERS = [{"name": "tom", "tags": ["management", "x"]}, {"name": "ann", "tags": []}]


@pytest.fixture
def node(monkeypatch, capsys):
    node = FakeNode(monkeypatch, capsys)
    node.rows["users"] = USERS
    return node


def test_help_names_every_command_by_section_and_gives_an_example(node):
    out = node.ctl("--help").out
    assert all(f"\n{title}:\n" in out for title in SECTIONS)
    assert {line.split()[0] for line in out.splitlines() if line.startswith("  ")} >= set(COMMANDS)
    assert "Example: warren ctl add_user" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_usage_and_example(node, name):
    command = ctl.get_command(None, name)
    assert isinstance(command, CtlCommand)
    assert command.name == name
    out = node.ctl(name, "--help").out
    assert f"[--quiet] {name}" in " ".join(out.split())
    assert f"Example: warren ctl {name}" in " ".join(out.split())
    assert node.ctl("help", name).out == out


def test_help_without_a_name_and_for_an_unknown_one(node):
    assert node.ctl("help").out == node.ctl("--help").out
    done = node.ctl("help", "nosuch")
    assert (done.code, done.err.splitlines()[0]) == (
        64,
        "Error (argument validation): there is no command nosuch",
    )


def test_without_a_command_there_is_help_on_stderr(node):
    done = node.ctl()
    assert (done.code, done.out) == (64, "")
    assert "list_users" in done.err


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("options", "out"),
    [
        ([], "Listing users ...\nuser\ttags\ntom\t[management, x]\nann\t[]\n"),
        (["--no-table-headers"], "Listing users ...\ntom\t[management, x]\nann\t[]\n"),
        (["-q"], "user\ttags\ntom\t[management, x]\nann\t[]\n"),
        (["--silent"], "tom\t[management, x]\nann\t[]\n"),
        (["--formatter", "csv"], '"user","tags"\n"tom","[management, x]"\n"ann","[]"\n'),
        (["-s", "--formatter", "csv"], '"tom","[management, x]"\n"ann","[]"\n'),
        (["--formatter=json"], '[\n{"user":"tom","tags":["management","x"]}\n,{"user":"ann","tags":[]}\n]\n'),
        (
            ["--formatter", "pretty_table"],
            "Listing users ...\n"
            "┌──────┬─────────────────┐\n"
            "│ user │ tags            │\n"
            "├──────┼─────────────────┤\n"
            "│ tom  │ [management, x] │\n"
            "├──────┼─────────────────┤\n"
            "│ ann  │ []              │\n"
            "└──────┴─────────────────┘\n",
        ),
    ],
)
def test_general_options_stand_before_or_behind_the_name(node, before, options, out):
    words = [*options, "list_users"] if before else ["list_users", *options]
    assert node.ctl(*words) == (0, out, "")


def test_an_empty_list(node):
    node.rows["users"] = []
    assert node.ctl("list_users").out == "Listing users ...\n\n"
    assert node.ctl("list_users", "--formatter", "json").out == "[]\n"
    assert node.ctl("list_users", "--formatter", "csv").out == ""


def test_names_cannot_break_a_table(node):
    node.rows["users"] = [{"name": "a\tb\nc\\d", "tags": []}]
    assert node.ctl("-s", "list_users").out == "a\\tb\\nc\\d\t[]\n"


def test_a_name_that_is_nearly_right(node):
    done = node.ctl("list_user")
    assert (done.code, done.out) == (64, "")
    assert done.err == "\nCommand 'list_user' not found. \nDid you mean 'list_users'? \n\n"
    assert "See warren ctl --help" in node.ctl("xyz").err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bogus", "list_users"], "Invalid options for this command:\n--bogus : "),
        (["list_users", "-n"], "Invalid options for this command:\n-n : "),
        (["list_users", "--formatter", "xml"], "Invalid options for this command:\n--formatter : xml"),
        (["list_users", "--timeout=-1"], "Invalid options for this command:\n--timeout : -1"),
        (["list_vhosts", "name", "colour"], "Info key(s) colour are not supported"),
    ],
)
def test_misuse(node, arguments, complaint):
    done = node.ctl(*arguments)
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith(f"Error (argument validation): {complaint}\nArguments given:\n\t{' '.join(arguments)}\n")
    assert "\nUsage\n\nwarren ctl [--node <node>]" in done.err
    assert node.asked == []


def test_a_refusal_that_no_command_has_words_for(node):
    node.answers["change"] = {"error": "the disk is full", "code": "invalid"}
    assert node.ctl("-q", "delete_user", "tom") == (69, "", "Error:\nthe disk is full\n")


# ------------------------------------------------------------------ without a node


@pytest.fixture
def nobody(tmp_path, monkeypatch, capsys):
    """A cluster of which no node runs: only the system may listen at such ports."""
    file = tmp_path / "cluster.yaml"
    doors = (f'amqp: "127.0.0.1:{n}", http: "127.0.0.1:{n + 3}", link: "127.0.0.1:{n + 6}"' for n in (1, 2, 3))
    nodes = ", ".join(f"{{name: n{number}, {one}}}" for number, one in enumerate(doors, 1))
    file.write_text(f"cluster: {{name: test}}\nnodes: [{nodes}]\n")
    monkeypatch.setenv("WARREN_CONFIG", str(file))

    def ctl(*arguments):
        code = run(["ctl", *arguments])
        return (code, *capsys.readouterr())

    return ctl


def test_nobody_is_there(nobody):
    code, out, err = nobody("list_users")
    assert (code, out) == (69, "Listing users ...\n")
    assert err.startswith(
        "Error: unable to perform an operation on any node. Please see diagnostics information below.\n"
    )
    assert "connection refused" in err
    code, _, err = nobody("-n", "n2", "list_users")
    assert code == 69
    assert err.startswith("Error: unable to perform an operation on node 'rabbit@n2'. Please see ")
    code, _, err = nobody("-n", "rabbit@n9", "list_users")
    assert (code, err.splitlines()[-1]) == (69, "the nodes of cluster test: n1, n2, n3")


def test_nobody_answers_in_time(nobody):
    expected = "Error: operation list_users on node rabbit@n1 timed out. Timeout value used: 0\n"
    assert nobody("-q", "list_users", "-t", "0", "-n", "n1") == (75, "", expected)


def test_a_wrong_file(nobody, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("colour: red\n")
    code, _, err = nobody("-q", "list_users", "--config", str(file))
    assert code == 78
    assert err.startswith(f"Error:\n{file}:1: colour: ")


def test_a_program_is_told_who_answered(node):
    node.answers["change"] = {"deleted": True}
    assert json.loads(node.ctl("delete_user", "tom", "--formatter", "json").out) == {
        "node": "rabbit@n1",
        "result": "ok",
    }
    assert call.node_name("rabbit@n1") == call.node_name("n1") == "n1"
