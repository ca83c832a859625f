"""What holds for every test: where the house is found, which tests run by default, and that a skip can be a failure.

`pytest` leaves out what is marked slow; `pytest --slow` runs everything, `pytest -m slow` only that.
`--rewrite-stories` writes the golden texts anew.
With WARREN_NO_SKIPS=1 (as .ci/run sets it) a skipped test is a failed one: a check that did not run proves nothing.
"""

import gc
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

NO_SKIPS = os.environ.get("WARREN_NO_SKIPS", "") not in {"", "0"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests, too")
    parser.addoption(
        "--rewrite-stories", action="store_true", help="write the golden stories anew instead of comparing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("slow") or config.getoption("markexpr") or any("::" in str(a) for a in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def pytest_collection_finish() -> None:
    """What is there by now stays: whoever looks for garbage need not look at it again and again, nor so often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """golden(path, actual): the file holds exactly this text; with --rewrite-stories it is made to, and git tells."""
    rewrite = request.config.getoption("rewrite_stories")

    def compare(path: Path, actual: str) -> None:
        if rewrite:
            path.write_text(actual, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == actual, f"{path.name} tells another story (--rewrite-stories)"

    return compare


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _without_skips((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _without_skips((yield))


def _without_skips(report: Report) -> Report:
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (WARREN_NO_SKIPS is set: nothing may be skipped)"
    return report
