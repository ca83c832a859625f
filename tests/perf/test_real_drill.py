"""Drills of real processes: the promise of DESIGN's S1, and that the drill sees it broken where it is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# Loaded by every Python process of the cluster: links are slow, and perhaps nobody waits for the mirrors.
SLOW_LINKS = """
import trio
from broker.peers.connection import Outgoing
begin = Outgoing.__init__
class Late:
    def __init__(self, stream):
        self._stream = stream
    def __getattr__(self, name):
        return getattr(self._stream, name)
    async def send_all(self, data):
        await trio.sleep(0.05)
        await self._stream.send_all(data)
def begin_late(self, stream, identity, lane, **options):
    begin(self, Late(stream) if lane == "data" else stream, identity, lane, **options)
Outgoing.__init__ = begin_late
"""
NOBODY_WAITS = """
from broker.mirroring.witnesses import Witnesses
Witnesses.required = lambda self: set()
"""


def drill(folder: Path, *arguments: str, sabotage: str = "") -> tuple[int, dict[str, Any]]:
    (folder / "sitecustomize.py").write_text(sabotage)
    command = [sys.executable, "-m", "broker", "drill", "--json", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, timeout=600, check=False
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_one_kill(tmp_path: Path) -> None:
    code, report = drill(tmp_path, "--rounds", "1", "--seed", "1")
    assert (code, report["lost"], report["failure"]) == (0, 0, None), report
    assert report["kills"] == report["leader_kills"] == 1
    assert report["promotions"]
    assert report["confirmed"] > 500


@pytest.mark.slow
def test_twenty_rounds_of_kill_and_freeze_lose_nothing(tmp_path: Path) -> None:
    code, report = drill(tmp_path, "--rounds", "20", "--faults", "kill,freeze", "--seed", "20")
    assert (code, report["lost"], report["failure"]) == (0, 0, None), report
    assert report["confirmed"] >= 20_000
    assert {promotion["round"] for promotion in report["promotions"]} == set(range(1, 21))
    assert report["leader_kills"] * 3 >= report["kills"]
    assert report["promotion_ms"]["kill"]["p50"] < 120
    assert max(round["s"] for round in report["course"] if round["fault"] == "kill") <= 8
    assert (report["duplicated"], report["reordered"], report["unknown"]) == (0, 0, 0)


@pytest.mark.slow
def test_rounds_of_partitions_lose_nothing(tmp_path: Path) -> None:
    code, report = drill(tmp_path, "--rounds", "6", "--faults", "partition", "--seed", "6")
    assert (code, report["lost"], report["failure"]) == (0, 0, None), report
    assert (report["duplicated"], report["reordered"], report["unknown"]) == (0, 0, 0)
    assert {round["fault"] for round in report["course"]} == {"partition", "partition_one_way", "partition_partial"}


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_confirming_before_the_mirrors_have_answered_is_reported_as_loss(tmp_path: Path, broken: bool) -> None:
    code, report = drill(
        tmp_path, "--rounds", "3", "--seed", "3", sabotage=SLOW_LINKS + (NOBODY_WAITS if broken else "")
    )
    assert report["failure"] is None
    assert bool(report["lost"]) is broken, report
    assert code == int(broken)


@pytest.mark.slow
def test_the_users_own_tests_run_while_nodes_die(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        """
import os, sys, time, pika  # a user's own program, in a process of its own
for turn in range(40):
    for url in os.environ["AMQP_URLS"].split(","):
        try:
            connection = pika.BlockingConnection(pika.URLParameters(url))
            channel = connection.channel()
            channel.queue_declare("mine", durable=True)
            channel.confirm_delivery()
            channel.basic_publish("", "mine", b"hello", pika.BasicProperties(delivery_mode=2))
            connection.close()
            break
        except pika.exceptions.AMQPError:
            continue
    time.sleep(0.1)  # its own pace, taken or not: a program that was done at once would meet no fault
sys.exit(5)
"""
    )
    code, report = drill(tmp_path, "--seed", "4", "--", sys.executable, "program.py")
    assert (code, report["command_exit"], report["lost"], report["failure"]) == (5, 5, 0, None)
    assert report["rounds"] >= 1
