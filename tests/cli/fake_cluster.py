"""The file of a cluster of fake nodes, and the command `warren` that runs it."""

import os
import subprocess
import sys
from pathlib import Path

FAKE_WARREN = Path(__file__).with_name("fake_warren.py")
DOORS = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'
THREE_NODES = (
    "cluster: {name: test, cookie: secret}\n"
    f"nodes:\n- {{name: n1, {DOORS}}}\n- {{name: n2, {DOORS}}}\n- {{name: n3, {DOORS}}}\n"
    "policies: [ha-all]\n"
)


def fake_warren(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The real command with fake nodes, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(FAKE_WARREN), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
