"""`warren ctl` before one node whose hall is real and whose road is a function call."""

import json
from contextlib import asynccontextmanager

import trio

from broker.cli.ctl import call
from broker.cli.entry import run
from broker.management.census import Census
from broker.node.commands import Commands
from tests.cli.conftest import Done
from tests.management.browser import FakeFacts
from tests.vhosts.room import open_hall


@asynccontextmanager
async def open_ctl(monkeypatch, capsys):
    """The hall, and an async function that runs one command."""
    async with open_hall() as hall:
        commands = Commands(None, None, None)
        commands.serve(hall, Census(hall, FakeFacts("n1")))

        def asked(settings, command, request):
            answer = trio.from_thread.run(commands.answer, json.loads(json.dumps(request)))
            return {**json.loads(json.dumps(answer)), "answered_by": "n1"}

        async def ctl(*arguments):
            code = await trio.to_thread.run_sync(run, ["ctl", *arguments])
            out, err = capsys.readouterr()
            return Done(code, out, err)

        monkeypatch.setattr(call, "_asked", asked)
        yield hall, ctl
