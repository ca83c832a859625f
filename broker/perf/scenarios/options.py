"""What the scenarios let a user choose alike, and how they print.

Decides names, defaults and help of the shared options, and the look of a table. It must not know any one scenario.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import trio

from broker.perf.report import Missed, conclude, measured, target_options, with_json

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT_S = 900.0
NO_PIDS = "without --pid nothing is known of the broker's memory and processor time"


def _pids(_context: click.Context, _parameter: click.Parameter, value: str) -> list[int]:
    try:
        return [int(pid) for pid in value.split(",") if pid]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def shared(count: int, size: int) -> Callable[[F], F]:
    """Adds the options of every scenario, with these defaults."""
    options = [
        target_options,
        click.option("--pid", "pids", default="", callback=_pids, metavar="PID[,PID…]", help="The broker's processes."),
        click.option("--count", default=count, show_default=True, type=click.IntRange(10), help="Messages."),
        click.option("--size", default=size, show_default=True, type=click.IntRange(8), help="Bytes of a body."),
        click.option("--confirm", "window", default=2000, show_default=True, type=click.IntRange(1),
                     help="Publishes without a confirm at most."),
        click.option("--queue", default="perf.scenario", show_default=True, help="Its name; deleted first and last."),
        click.option("--queue-argument", "arguments", multiple=True, metavar="KEY=VALUE", help="As x-queue-mode=lazy."),
        click.option("--timeout", "timeout_s", default=TIMEOUT_S, show_default=True, help="Seconds for all of it."),
        with_json,
    ]  # fmt: skip

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def carried_out(scenario: Callable[[], Awaitable[dict[str, Any]]], timeout_s: float) -> dict[str, Any]:
    """Its figures; ends with exit code 1 if it does not come to its end."""

    async def bounded() -> dict[str, Any]:
        try:
            with trio.fail_after(timeout_s):
                return await scenario()
        except trio.TooSlowError:
            raise Missed(f"not done within {timeout_s:g} s") from None

    return measured(bounded)


def tell(figures: Mapping[str, Any], titles: Mapping[str, str], *, as_json: bool, remark: str = "") -> None:
    """Print a scenario's figures, by their titles, and end: with 1 if a message is missing or out of order."""
    lines = [f"{title:<40}{_shown(key, figures[key])}" for key, title in titles.items() if figures.get(key) is not None]
    if remark and not as_json:
        lines.append(f"({remark})")
    conclude(figures, lines, as_json=as_json, failed=bool(figures["missing"] or figures.get("disorders")))


def _shown(key: str, value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "  ".join(_shown(key, one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("_bytes"):
        return f"{value / 1048576:.1f} MiB"
    if key.endswith("_s"):
        return f"{value:.2f} s"
    return f"{value:,}" if isinstance(value, int) else f"{value}"
