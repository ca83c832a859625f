"""Golden stories of the agreement machine; the number of members stands in the first line of each."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.zab_story import tell

STORIES = sorted((Path(__file__).parent.parent / "stories" / "zab").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, golden: Callable[[Path, str], None]) -> None:
    text = path.read_text(encoding="utf-8")
    size = re.match(r"# (\d) members", text)
    assert size, "the first line says how many members there are"
    golden(path, tell(text, int(size[1])))
