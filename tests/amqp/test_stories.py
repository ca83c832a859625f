from pathlib import Path

import pytest

from tests.amqp.story import Story

FOLDER = Path(__file__).parent.parent / "stories"
STORIES = sorted([*(FOLDER / "connection").glob("*.txt"), *(FOLDER / "channel").glob("*.txt")])


@pytest.mark.parametrize("path", STORIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_story(path, golden):
    golden(path, Story().play(path.read_text(encoding="utf-8")))
