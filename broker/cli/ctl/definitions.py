"""export_definitions, import_definitions: everything that a cluster was told, as a file of RabbitMQ's format.

Decides where a file comes from and goes to.
"""

import json
import os
import sys
from pathlib import Path

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Denied, Exit, Misuse

TIMEOUT_S = 300
"""Of an import, if none is given."""
STANDARD = "-"
STARTED = "Successfully started definition import. This process is asynchronous and can take some time."
"""RabbitMQ's words; here all of it is done by then."""


@ctl_command("export_definitions", '<file_path | "-">', example="definitions.json")
@click.argument("file")
def export_definitions(call: Call, file: str) -> None:
    """Write all that was set and declared, but not messages, to FILE; - is standard output."""
    if file != STANDARD:
        folder = Path(file).absolute().parent
        if not folder.is_dir():
            raise Misuse(f"Bad argument: Directory {folder} does not exist", Exit.DATA)
        call.say(f'Exporting definitions in JSON to a file at "{file}" ...')
    text = json.dumps(call.ask({"do": "export_definitions"})["definitions"], separators=(",", ":"), ensure_ascii=False)
    if file == STANDARD:
        click.echo(text, nl=False)
        return
    try:
        _write(Path(file), text)
    except OSError as error:
        raise CtlFailure(Exit.UNAVAILABLE, f"{file}: {error.strerror}") from None
    call.done()


@ctl_command("import_definitions", "[<file_path>]", example="definitions.json")
@click.argument("file", required=False)
def import_definitions(call: Call, file: str | None) -> None:
    """Set what FILE (else standard input) names, and leave the rest; queues and exchanges that exist stay."""
    if file is not None and not Path(file).is_file():
        raise Misuse(f"Bad argument: File {file} does not exist", Exit.DATA)
    source = "standard input" if file is None else f'a file at "{file}"'
    call.say(f"Importing definitions in JSON from {source} ...")
    try:
        value = json.loads(sys.stdin.read() if file is None else Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CtlFailure(Exit.DATA, f"Failed to deserialise input (format: JSON) (error: {error})") from None
    except OSError as error:
        raise CtlFailure(Exit.DATA, f"{file}: {error.strerror}") from None
    try:
        call.ask({"do": "import_definitions", "definitions": value}, TIMEOUT_S)
    except Denied as denied:
        if denied.code == "not_found":
            raise CtlFailure(Exit.DATA, denied.why, bare=True) from None
        raise
    if call.is_json:
        call.print_object({"message": STARTED, "node": call.node, "status": "ok"})
    else:
        call.say(STARTED)


def _write(path: Path, text: str) -> None:
    """Nobody else may read a new file: it has the hashes of passwords."""
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
