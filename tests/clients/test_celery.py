"""Celery, the task queue, with real workers, while the node dies that masters its queues."""

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import chord, group
from celery.backends.rpc import RPCBackend
from kombu import pools

from tests.clients.celery_tasks import application
from tests.clients.conftest import cluster, warren

pytestmark = pytest.mark.slow

HOUSE = Path(__file__).parents[2]
ENOUGH_S = 60  # for whatever a test waits for: failing over takes Celery a few seconds


@contextmanager
def client(*place):
    """The application as whoever has called tasks has it; all connections of this process are closed afterwards."""
    with application(*place) as app:
        yield app
        if isinstance(app.backend, RPCBackend):
            app.backend.result_consumer.stop()
        pools.reset()


@contextmanager
def worker(folder, *place):
    """A worker process; it has declared its queue and consumes when this comes back."""
    name = f"{place[2]}@warren"
    log = folder / f"{place[2]}.log"
    command = [sys.executable, "-m", "tests.clients.celery_tasks", *place]
    with log.open("w") as told, application(*place) as app:
        process = subprocess.Popen(command, cwd=HOUSE, stdout=told, stderr=told)
        try:
            deadline = time.monotonic() + ENOUGH_S
            while not app.control.ping(destination=[name], timeout=0.5):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(ENOUGH_S)


def test_no_task_no_retry_no_countdown_and_no_chord_is_lost_when_the_master_dies(tmp_path):
    files = tmp_path / "results"
    files.mkdir()
    with cluster(tmp_path) as urls:
        n1_first, n2_first = ";".join(urls), ";".join(urls[1:] + urls[:1])
        with (
            worker(tmp_path, n1_first, "rpc://", "tasks"),
            worker(tmp_path, n1_first, f"file://{files}", "chords"),
            client(n2_first, "rpc://", "tasks") as calls,
            client(n2_first, f"file://{files}", "chords") as chords,
        ):
            sent = time.time()
            later = calls.tasks["stamp"].apply_async(countdown=6)
            tried = [calls.tasks["third_time_lucky"].delay() for _ in range(3)]
            add, gate = calls.tasks["add"], str(tmp_path / "gate")
            sums = [add.delay(number, number, None if number < 10 else gate) for number in range(60)]
            parts = group(chords.tasks["add"].s(number, 1, None if number < 10 else gate) for number in range(30))
            whole = chord(parts, chords.tasks["total"].s(), app=chords).apply_async()

            assert [result.get(timeout=ENOUGH_S) for result in sums[:10]] == [2 * number for number in range(10)]
            assert "n1 was killed" in warren(tmp_path, "kill", "--master-of", "tasks")
            assert not whole.ready()
            assert not any(result.ready() for result in sums[10:])
            Path(gate).touch()

            assert [result.get(timeout=ENOUGH_S) for result in sums] == [2 * number for number in range(60)]
            assert [result.get(timeout=ENOUGH_S) for result in tried] == [2] * 3
            assert later.get(timeout=ENOUGH_S) >= sent + 6
            assert whole.get(timeout=ENOUGH_S) == sum(range(1, 31))
