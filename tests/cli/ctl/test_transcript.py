"""Commands about users, rights, limits and policies say what rabbitmqctl says, and end as it does."""

import pytest

from broker.cli.entry import run
from tests.cli.ctl.real_cluster import running
from tests.cli.ctl.station import open_ctl
from tests.cli.ctl.transcript import Step, comparable, recorded

NEEDS_A_ROAD = ("-q list_users -t 0",)


def differences(pairs):
    return "\n".join(f"--- {step}\n+++ {said}" for step, said in pairs if said != step)


async def test_what_rabbitmqctl_says(monkeypatch, capsys):
    steps = [step for step in recorded() if step.command not in NEEDS_A_ROAD]
    async with open_ctl(monkeypatch, capsys) as (_hall, ctl):
        pairs = []
        for step in steps:
            done = await ctl(*step.arguments)
            pairs.append((step, comparable(Step(step.command, done.out, done.err, done.code))))
    assert len(pairs) > 120
    assert not differences(pairs)


@pytest.mark.slow
def test_real_nodes_say_it_whichever_is_asked(tmp_path, monkeypatch, capsys):
    """Each command goes to the next node: what one has set, the next one knows."""
    pairs = []
    with running(tmp_path, monkeypatch):
        for number, step in enumerate(recorded()):
            node = f"n{number % 3 + 1}"
            code = run(["ctl", "-n", f"rabbit@{node}", *step.arguments])
            out, err = (text.replace(f"rabbit@{node}", "rabbit@n1") for text in capsys.readouterr())
            pairs.append((step, comparable(Step(step.command, out, err, code))))
    assert not differences(pairs)
