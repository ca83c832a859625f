"""Each of the thirty acceptance scenarios of mirroring is a test by its number."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_every_scenario_is_played() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py")))
    played = {int(number) for number in re.findall(r"def test_scenario_(\d\d)_", text)}
    assert played == set(range(1, 31))
