"""The coverage-guided fuzzer finds nothing within its bounds; elsewhere let it run for an hour."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.wire.amqp_bytes import conversation

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEEDS = 40


def seeds(target: str) -> list[bytes]:
    if target == "wire":
        return [bytes((64,)) + conversation(seed)[:2000] for seed in range(SEEDS)]
    return [Random(seed).randbytes(20 + 5 * seed) for seed in range(SEEDS)]


@pytest.mark.parametrize(
    ("target", "runs"), [("wire", 60_000), ("records", 100_000), ("tables", 100_000), ("door", 2000)]
)
def test_guided_by_coverage(target, runs, tmp_path):
    pytest.importorskip("atheris", reason="the fuzzer atheris is not installed (Linux on x86_64 only)")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / str(number)).write_bytes(seed)
    bounds = [f"-runs={runs}", "-max_total_time=60", "-timeout=20", "-max_len=4096", "-len_control=0", "-seed=1"]
    command = [sys.executable, "-m", "tests.fuzz.guided", target, *bounds, f"-artifact_prefix={tmp_path}/", str(corpus)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-4000:]
    assert "Done " in found.stderr
