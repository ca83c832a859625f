"""`warren top`: the cluster as it is just now, again and again.

Decides when what was seen is shown, and what a key does. The nodes rank their queues.
"""

import sys
from time import sleep
from typing import TYPE_CHECKING

import click

from broker.cli.board import EVENTS_SHOWN, plain, queue_room, screen
from broker.cli.onlooker import SORTS, Look, Onlooker, View, Watch
from broker.cli.options import print_json, with_cluster, with_json
from broker.cli.road import Road
from broker.node.configuration import Cluster

if TYPE_CHECKING:
    from rich.live import Live

ROWS = 20
RATES_S = 1.0
"""A rate takes two looks."""
POLL_S = 0.1


@click.command(epilog="Example: warren top --sort in")
@click.option("--sort", type=click.Choice(SORTS), default=SORTS[0], show_default=True, help="Which queues come first.")
@click.option("--filter", "text", default="", metavar="TEXT", help="Only queues with this in their names.")
@click.option(
    "-n", "rows", default=ROWS, show_default=True, type=click.IntRange(1, 500), help="So many queues (--once)."
)
@click.option(
    "--interval", "interval_s", default=2.0, show_default=True, metavar="SECONDS", type=click.FloatRange(0.5),
    help="From one look to the next.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="One look, as plain text; so it is without a terminal, too.")
@with_cluster
@with_json
def top(cluster: Cluster, sort: str, text: str, rows: int, interval_s: float, *, once: bool, as_json: bool) -> None:
    """Watch nodes, queues and their copies, and what happens to them.

    Keys: q quits, s sorts by something else, / asks for a text in the queues' names, esc forgets it, arrows scroll.
    Rates are per second, since the look before. A mirror that is not in sync is shown with the messages it lacks.
    """
    onlooker, view = Onlooker(Road(cluster)), View(sort=sort, text=text)
    if once or as_json or not sys.stdout.isatty() or not sys.stdin.isatty():
        look = _once(onlooker, view, rows)
        if as_json:
            shown = {"nodes": look.status["nodes"], "partitions": look.status["partitions"]}
            print_json({**shown, "top": look.top, "events": look.events[-EVENTS_SHOWN:]})
        else:
            click.echo("\n".join(plain(look, view, rows)))
        return
    _follow(onlooker, view, interval_s)


def _once(onlooker: Onlooker, view: View, rows: int) -> Look:
    look = onlooker.look(view, rows)
    if any(one["in_rate"] is None for one in look.top.get("nodes", {}).values()):
        sleep(RATES_S)
        look = onlooker.look(view, rows)
    return look


def _follow(onlooker: Onlooker, view: View, interval_s: float) -> None:
    from rich.live import Live

    from broker.cli.keyboard import Keyboard

    watch = Watch(onlooker, view, ROWS, interval_s)
    watch.start()
    with Keyboard() as keyboard, Live(screen=True, auto_refresh=False) as live:
        try:
            while not watch.view.over:
                _show(live, watch)
                _heed(keyboard.pressed(POLL_S), watch, live.console.height)
        except KeyboardInterrupt:
            pass
        finally:
            watch.end()


def _show(live: "Live", watch: Watch) -> None:
    """What was seen last, if that is new."""
    if watch.news.is_set() and watch.seen is not None:
        watch.news.clear()
        live.update(screen(watch.seen, watch.view, live.console.height), refresh=True)


def _heed(keys: list[str], watch: Watch, height: int) -> None:
    """Keys count at once: what is there is shown anew, and what is not is looked at."""
    watch.rows = page = queue_room(None if watch.seen is None else watch.seen.status, height)
    before = watch.view
    for key in keys:
        watch.view = watch.view.after(key, page)
    if watch.view != before:
        watch.news.set()
        if watch.view.question(page) != before.question(page):
            watch.hurry()
