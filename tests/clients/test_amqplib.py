"""amqplib, the client of programs in node."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("amqplib.js")


@pytest.fixture(scope="module")
def node():
    """node with amqplib, found through NODE_PATH."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    if subprocess.run([found, "-e", "require('amqplib')"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("node does not find amqplib: npm install amqplib@0.10, with its node_modules in NODE_PATH")
    return found


def test_a_program_in_node_goes_through_every_node(node, roads):
    done = subprocess.run([node, SCRIPT, json.dumps(roads)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["ok"] * len(roads)
