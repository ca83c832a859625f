"""`warren ctl` before one node whose hall is real and whose road is a function call."""

import json
from contextlib import asynccontextmanager

import trio

from broker.cli.ctl import call
from broker.cli.entry import run
from broker.cli.options import load_cluster
from broker.management.census import Census
from broker.node.commands import Commands
from broker.node.membership import Membership
from broker.node.report import Report
from broker.world.disk import MemoryDisk
from tests.cli.conftest import Done
from tests.vhosts.room import open_hall


@asynccontextmanager
async def open_ctl(monkeypatch, capsys):
    """The hall, and an async function that runs one command."""
    async with open_hall() as hall:
        cluster = load_cluster(None)
        report = Report(cluster, cluster.node("n1"), Membership(cluster, "n1", MemoryDisk()))
        report.hall = hall
        commands = Commands(report, None, None)
        commands.serve(hall, Census(hall, report))

        def asked(settings, command, request):
            answer = trio.from_thread.run(commands.answer, json.loads(json.dumps(request)))
            return {**json.loads(json.dumps(answer)), "answered_by": "n1"}

        async def ctl(*arguments):
            code = await trio.to_thread.run_sync(run, ["ctl", *arguments])
            out, err = capsys.readouterr()
            return Done(code, out, err)

        monkeypatch.setattr(call, "_asked", asked)
        yield hall, ctl
