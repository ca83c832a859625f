"""Commands about users, rights, limits and policies say what rabbitmqctl says, and end as it does."""

import json
from contextlib import asynccontextmanager

import trio

from broker.cli.ctl import call
from broker.cli.entry import run
from broker.management.census import Census
from broker.node.commands import Commands
from tests.cli.ctl.transcript import Step, comparable, recorded
from tests.management.browser import FakeFacts
from tests.vhosts.room import open_hall

NEEDS_A_ROAD = ("-t 0",)


@asynccontextmanager
async def open_ctl(monkeypatch, capsys):
    """`warren ctl` on one node, whose hall is real and whose road is a function call."""
    async with open_hall() as hall:
        commands = Commands(None, None, None)
        commands.serve(hall, Census(hall, FakeFacts("n1")))

        def asked(settings, command, request):
            answer = trio.from_thread.run(commands.answer, json.loads(json.dumps(request)))
            return {**json.loads(json.dumps(answer)), "answered_by": "n1"}

        async def ctl(*arguments):
            code = await trio.to_thread.run_sync(run, ["ctl", *arguments])
            out, err = capsys.readouterr()
            return Step(" ".join(arguments), out, err, code)

        monkeypatch.setattr(call, "_asked", asked)
        yield ctl


async def test_what_rabbitmqctl_says(monkeypatch, capsys):
    async with open_ctl(monkeypatch, capsys) as ctl:
        different = []
        for step in recorded():
            if any(word in step.command for word in NEEDS_A_ROAD):
                continue
            said = comparable((await ctl(*step.arguments))._replace(command=step.command))
            if said != step:
                different.append((step, said))
        assert not different, "\n".join(f"--- {step}\n+++ {said}" for step, said in different)
