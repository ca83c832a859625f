"""Schemathesis goes over the HTTP API with requests made from its own description, right ones and wrong ones.

Whatever it asks, no answer is a 5xx, and every answer is one that the description names, of the shape that it says.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest

from tests.clients.conftest import warren

HERE = Path(__file__).parent
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "unsupported_method,ignored_auth"
)
LIMIT_S = 180
CASES_MIN = 1000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="Schemathesis is not installed"),
]


def put(url: str, body: str) -> None:
    headers = {"authorization": "Basic " + b64encode(b"guest:guest").decode()}
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers, method="PUT"), timeout=10):
        pass


def test_every_answer_is_as_described(tmp_path: Path) -> None:
    address = '"127.0.0.1:0"'
    (tmp_path / "cluster.yaml").write_text(
        f"nodes: [{{name: n1, amqp: {address}, http: {address}, link: {address}}}]\n"
    )
    warren(tmp_path, "up", "--detach")
    try:
        api = f"http://{json.loads(warren(tmp_path, 'status', '--json'))['nodes'][0]['http']}/api"
        put(f"{api}/queues/%2F/q", "")
        put(f"{api}/users/somebody", '{"tags":""}')
        words = [
            "--config-file",
            str(HERE / "schemathesis.toml"),
            "run",
            f"{api}/openapi.json",
            "--auth",
            "guest:guest",
        ]
        words += ["--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", "1", "--checks", CHECKS]
        words += ["--request-timeout", "10", "--no-color"]
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *words],
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    finally:
        warren(tmp_path, "down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "returned only 401" not in done.stdout, done.stdout
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None, done.stdout
    assert int(generated[1]) >= CASES_MIN
