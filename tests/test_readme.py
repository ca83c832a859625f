"""README does what it says: every code block of it is run, as a reader would run it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.node.configuration import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


@pytest.fixture
def path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `warren` is this checkout's command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shim = folder / "warren"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m broker "$@"\n')
    shim.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def commands_of(session: str) -> list[str]:
    """The commands of a console block, without prompts and comments."""
    lines = [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def run(command: str, folder: Path, environment: dict[str, str], timeout_s: float = 60) -> str:
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_there_are_two_commands_for_a_fresh_machine_and_no_block_is_forgotten() -> None:
    assert len(blocks("sh")) == 2
    assert {kind for kind, _ in BLOCKS} == {"sh", "console", "python", "yaml"}
    assert len(blocks("yaml")) == 1
    assert len(blocks("console")) == 6
    assert len(blocks("python")) == 1


def test_the_settings_are_settings(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("nodes: [{name: n1}]\n" + blocks("yaml")[0])
    settings = load(tmp_path / "cluster.yaml").node("n1").settings
    assert (settings.fsync, settings.fsync_interval, settings.vm_memory_high_watermark) == ("always", 200, 0.4)
    assert settings.disk_free_limit == 50_000_000


@pytest.fixture
def cluster(tmp_path: Path, path: dict[str, str]) -> Iterator[None]:
    """Three nodes run, on any ports."""
    ports = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'
    nodes = ", ".join(f"{{name: {name}, {ports}}}" for name in ("n1", "n2", "n3"))
    (tmp_path / "cluster.yaml").write_text(f"nodes: [{nodes}]\npolicies: [ha-all]\n")
    first, *_, last = commands_of(blocks("console")[0])
    assert (first, last) == ("warren up --detach", "warren down")
    run(first, tmp_path, path)
    try:
        yield
    finally:
        run(last, tmp_path, path)


@pytest.mark.usefixtures("cluster")
def test_the_session_that_kills_a_master(tmp_path: Path, path: dict[str, str]) -> None:
    said = {command: run(command, tmp_path, path) for command in commands_of(blocks("console")[0])[1:-1]}
    assert "hello" in said["warren get orders"]
    assert "promoted" in said["warren events"]


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_the_other_sessions(tmp_path: Path, path: dict[str, str]) -> None:
    for queue in ("orders", "dead.orders"):
        run(f"warren publish {queue} hello --declare", tmp_path, path)
    for session in blocks("console")[1:]:
        for command in commands_of(session):
            run(command, tmp_path, path)


@pytest.mark.slow
def test_the_failover_test_for_your_ci(tmp_path: Path, path: dict[str, str]) -> None:
    (tmp_path / "test_orders.py").write_text(blocks("python")[0])
    run(f'"{sys.executable}" -m pytest -q -p no:cacheprovider test_orders.py', tmp_path, path)


@pytest.mark.slow
def test_the_first_command_on_a_fresh_machine(tmp_path: Path) -> None:
    """The main job: install, start, kill, report. (The second command is what .ci/run runs.)"""
    copy = tmp_path / "warren"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = tracked.stdout.split("\0") if tracked.returncode == 0 else []
    if not any(names):
        names = [str(file.relative_to(ROOT)) for room in ("broker", "policies") for file in ROOT.glob(f"{room}/**/*")]
        names += ["pyproject.toml", "README.md", "LICENSE", "cluster.yaml"]
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    said = run(blocks("sh")[0], copy, dict(os.environ), timeout_s=300)
    assert re.search(r"^lost\s+0$", said, re.MULTILINE)
    assert re.search(r"^promotions\s+[1-9]", said, re.MULTILINE)
