"""Golden stories of the agreement machine; the first line of each says how many members there are."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.cluster.partitions import PAUSE_MINORITY, QuorumRule
from tests.cluster.zab_story import tell

STORIES = sorted((Path(__file__).parent.parent / "stories" / "zab").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, golden: Callable[[Path, str], None]) -> None:
    text = path.read_text(encoding="utf-8")
    head = re.match(r"# (\d) members(?:, (\w+))?", text)
    assert head, "the first line says how many members there are, and by which rule they go on without some of them"
    golden(path, tell(text, int(head[1]), QuorumRule(head[2] or PAUSE_MINORITY)))
