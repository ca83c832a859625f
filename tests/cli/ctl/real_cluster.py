"""Three real nodes for one test, as a user starts them."""

import subprocess
import sys
from contextlib import contextmanager

WARREN = [sys.executable, "-m", "broker"]
DOORS = 'amqp: "127.0.0.1:0", http: "127.0.0.1:0", link: "127.0.0.1:0"'


@contextmanager
def running(folder, monkeypatch, more=""):
    """They run; $WARREN_CONFIG names their file. `more`: further lines of it."""
    nodes = ", ".join(f"{{name: {name}, {DOORS}}}" for name in ("n1", "n2", "n3"))
    file = folder / "cluster.yaml"
    file.write_text(f"cluster: {{cookie: secret}}\nnodes: [{nodes}]\n{more}")
    monkeypatch.setenv("WARREN_CONFIG", str(file))
    subprocess.run([*WARREN, "up", str(file), "--detach"], check=True, capture_output=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run([*WARREN, "down"], check=True, capture_output=True, timeout=60)
