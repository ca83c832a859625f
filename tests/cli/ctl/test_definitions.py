"""export_definitions and import_definitions: files and streams, with the words that rabbitmqctl 3.10.8 has."""

import io
import json
import sys

import pytest

from broker.cli.entry import run
from broker.management.definitions import export
from tests.cli.ctl.real_cluster import running
from tests.cli.ctl.station import open_ctl
from tests.management.test_definitions import RABBITMQ, section

STARTED = "Successfully started definition import. This process is asynchronous and can take some time.\n"


async def test_a_file_goes_out_and_comes_in(monkeypatch, capsys, tmp_path):
    given, made = tmp_path / "given.json", tmp_path / "made.json"
    given.write_text(json.dumps(RABBITMQ))
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        banner = f'Importing definitions in JSON from a file at "{given}" ...\n'
        assert await ctl("import_definitions", str(given)) == (0, banner + STARTED, "")
        assert await ctl("-q", "import_definitions", str(given)) == (0, "", "")
        done = await ctl("export_definitions", str(made))
        assert done == (0, f'Exporting definitions in JSON to a file at "{made}" ...\n', "")
        assert made.stat().st_mode & 0o777 == 0o600
        assert json.loads(made.read_text()) == export(hall)
        assert json.loads((await ctl("export_definitions", "-")).out) == export(hall)


async def test_standard_input_and_programs(monkeypatch, capsys):
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        monkeypatch.setattr(sys, "stdin", io.StringIO('{"global_parameters": [{"name": "x", "value": 1}]}'))
        done = await ctl("import_definitions", "--formatter", "json")
        assert json.loads(done.out) == {"message": STARTED.strip(), "node": "rabbit@n1", "status": "ok"}
        assert done.err == ""
        assert export(hall)["global_parameters"] == [{"name": "x", "value": 1}]
        monkeypatch.setattr(sys, "stdin", io.StringIO("nojson"))
        done = await ctl("import_definitions")
        assert (done.code, done.out) == (65, "Importing definitions in JSON from standard input ...\n")
        assert done.err.startswith("Error:\nFailed to deserialise input (format: JSON) (error: ")


async def test_refusals(monkeypatch, capsys, tmp_path):
    file = tmp_path / "file.json"

    async with open_ctl(monkeypatch, capsys) as (_hall, ctl):

        async def refusal(**sections):
            file.write_text(json.dumps(sections))
            done = await ctl("-q", "import_definitions", str(file))
            return done.code, done.err

        queue = {"name": "q", "vhost": "v", "durable": True, "auto_delete": False}
        assert await refusal(queues=[queue]) == (65, "Virtual host 'v' does not exist\n")
        policy = {"vhost": "/", "name": "bad", "pattern": "x", "definition": {"bogus": 1}}
        text = 'Error:\nValidation failed\n\n[{<<"bogus">>,1}] are not recognised policy settings\n (//bad)\n'
        assert await refusal(policies=[policy]) == (69, text)

        done = await ctl("import_definitions", str(tmp_path / "nosuch.json"))
        assert (done.code, done.err.splitlines()[0]) == (
            65,
            f"Error (argument validation): Bad argument: File {tmp_path}/nosuch.json does not exist",
        )
        done = await ctl("export_definitions", str(tmp_path / "nosuch" / "x.json"))
        assert (done.code, done.err.splitlines()[0]) == (
            65,
            f"Error (argument validation): Bad argument: Directory {tmp_path}/nosuch does not exist",
        )
        done = await ctl("-q", "export_definitions", str(tmp_path))
        assert (done.code, done.err) == (69, f"Error:\n{tmp_path}: Is a directory\n")


async def test_passwords_may_come_from_standard_input(monkeypatch, capsys):
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
        assert (await ctl("-q", "add_user", "tom")).code == 0
        assert hall.logins.by_password("tom", "secret", "127.0.0.1").name == "tom"
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        done = await ctl("-q", "change_password", "tom")
        assert (done.code, done.err) == (65, "Error:\nPassword is not provided via argument or stdin\n")
        alice = next(user for user in RABBITMQ["users"] if user["name"] == "alice")
        assert (await ctl("-q", "add_user", "alice", alice["password_hash"], "--pre-hashed-password")).code == 0
        assert hall.logins.by_password("alice", "wonder", "127.0.0.1").name == "alice"


@pytest.mark.slow
def test_a_cluster_starts_with_what_another_broker_exported(tmp_path, monkeypatch, capsys):
    (tmp_path / "rabbit.json").write_text(json.dumps(RABBITMQ))
    with running(tmp_path, monkeypatch, "definitions: rabbit.json\n"):
        for node, password, code in (("n1", "builder", 0), ("n2", "builder", 0), ("n3", "wrong", 65)):
            assert run(["ctl", "-n", node, "authenticate_user", "bob", password]) == code
        capsys.readouterr()
        assert run(["ctl", "-n", "n3", "export_definitions", "-"]) == 0
        made = json.loads(capsys.readouterr().out)
        for name in ("queues", "permissions", "policies"):
            assert section(name, made) == section(name, RABBITMQ)
