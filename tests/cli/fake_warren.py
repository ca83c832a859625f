"""`warren` whose nodes are `fake_node.py`: everything else is the real command."""

import sys
from pathlib import Path

FAKE_NODE = Path(__file__).with_name("fake_node.py")
ROOT = FAKE_NODE.parents[2]
sys.path.insert(0, str(ROOT))

from broker.cli import launch  # noqa: E402
from broker.cli.entry import main  # noqa: E402


def fake_command(config: str, name: str) -> list[str]:
    start = (
        f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); runpy.run_path({str(FAKE_NODE)!r}, run_name='__main__')"
    )
    # `node NAME` in the arguments, as a real one has it: that is how a node left behind is recognised.
    return [sys.executable, "-c", f"# node {name} \n{start}", name, "--config", config]


if __name__ == "__main__":
    launch.node_command = fake_command
    main()
