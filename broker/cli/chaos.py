"""`warren kill`, `stop`, `start`, `restart`, `freeze`, `thaw`: what happens to the processes of nodes.

Decides which node is meant (also "the master of this queue") and what is told afterwards; the supervisor does it.
"""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import click

from broker.cli.events import fetch_events
from broker.cli.failures import Failed
from broker.cli.merging import lacking_masters
from broker.cli.options import print_json, with_cluster, with_json, with_timeout, with_vhost
from broker.cli.road import Road, at_once
from broker.cli.status import fetch_status
from broker.node.configuration import Cluster

POLL_S = 0.05
PROMOTIONS_SHOWN = 20
"""More than a screenful tells nobody anything: `--json` and `warren events` have all of them."""
SAID = {
    "kill": "was killed",
    "stop": "stopped",
    "start": "started",
    "restart": "restarted",
    "freeze": "is frozen",
    "thaw": "goes on",
}


@click.command(epilog="Example: warren kill --master-of orders --wait")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--master-of", "queue", metavar="QUEUE", help="The node that holds the master of this queue.")
@click.option("--wait", "waits", is_flag=True, help="Return when every queue has a master again; show the promotions.")
@with_vhost
@with_timeout(30.0)
@with_cluster
@with_json
def kill(
    cluster: Cluster,
    names: tuple[str, ...],
    queue: str | None,
    vhost: str,
    timeout_s: float,
    *,
    waits: bool,
    as_json: bool,
) -> None:
    """Kill nodes at once (SIGKILL)."""
    if bool(names) == bool(queue):
        raise click.UsageError("name the nodes, or a queue with --master-of")

    road = Road(cluster)
    targets = names or (master_of(road, queue or "", vhost),)
    killed = do_to_all(road, "kill", targets)
    done = {"killed": killed}
    if not as_json:
        _say_what_was_done("kill", killed)
    if waits:
        _wait_for_masters(road, timeout_s)
        done["promotions"] = promotions_since(road, min(one["at_ms"] for one in killed))
    if as_json:
        print_json(done)
    elif waits:
        _show_promotions(done["promotions"])


def _show_promotions(promotions: list[dict[str, Any]]) -> None:
    for event in promotions[:PROMOTIONS_SHOWN]:
        click.echo(event["text"])
    if more := len(promotions[PROMOTIONS_SHOWN:]):
        click.echo(f"... and {more} more (warren events)")
    click.echo(f"every queue has a master; {len(promotions)} promoted")


def master_of(road: Road, queue: str, vhost: str) -> str:
    """The node that holds the master of a queue. Raises Failed if there is none."""
    found = fetch_status(road)
    for row in found["queues"]:
        if (row["vhost"], row["name"]) == (vhost, queue):
            if row["master"] is None:
                raise Failed(f"queue {queue} has no master: it is {row['state']}")
            return row["master"]
    raise Failed(f"there is no queue {queue} in vhost {vhost}")


def do_to_all(road: Road, verb: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Has the supervisor do it to all these nodes at the same time; their answers in this order."""

    def ask(name: str) -> dict[str, Any] | Failed:
        try:
            return road.ask_supervisor({"do": verb, "node": name})
        except Failed as failure:
            return failure

    answers = dict(at_once(ask, dict.fromkeys(names)))
    done = [answers[name] for name in dict.fromkeys(names)]
    if failures := [answer.message for answer in done if isinstance(answer, Failed)]:
        raise Failed("\n".join(dict.fromkeys(failures)))
    return [answer for answer in done if isinstance(answer, dict)]


def promotions_since(road: Road, stamp_ms: int) -> list[dict[str, Any]]:
    """The promotions of the time line from that moment on."""
    return [event for event in fetch_events(road, stamp_ms) if event["kind"] == "promotion"]


def _wait_for_masters(road: Road, timeout_s: float) -> None:
    deadline_s = monotonic() + timeout_s
    while True:
        found = fetch_status(road)
        living = [node for node in found["nodes"] if node["state"] == "running"]
        lacking = lacking_masters(found) if living else ["no node serves"]
        if not lacking:
            return
        if monotonic() > deadline_s:
            raise Failed(f"not every queue has a master after {timeout_s:g} s: {'; '.join(lacking)}")
        sleep(POLL_S)


def _say_what_was_done(verb: str, done: list[dict[str, Any]]) -> None:
    for one in done:
        click.echo(f"{one['node']} {SAID[verb]} (pid {one['pid']})")
    # Answers that were given at the same time may know of each other or not.
    told = [one["majority"] for one in done]
    lonely = [text for text in told if text.startswith(("no majority", "none of")) or "may have to wait" in text]
    if verb in ("kill", "stop", "freeze"):
        click.echo((lonely or told)[-1])
    elif len(lonely) == len(told):
        click.echo(lonely[-1])


def _process_command(verb: str, text: str) -> Callable[..., None]:
    @with_cluster
    @with_json
    def command(cluster: Cluster, names: tuple[str, ...], *, as_json: bool) -> None:
        done = do_to_all(Road(cluster), verb, names)
        if as_json:
            print_json({verb: done})
            return
        _say_what_was_done(verb, done)

    command.__doc__ = text
    command.__name__ = verb
    return command


def _command(verb: str, text: str, example: str) -> click.Command:
    named = click.argument("names", nargs=-1, required=True, metavar="NAME...")
    return click.command(name=verb, epilog=f"Example: warren {example}")(named(_process_command(verb, text)))


stop = _command("stop", "Stop nodes orderly; they hand their masters over first.", "stop n1")
start = _command("start", "Start nodes that do not run; returns when they are ready.", "start n1")
restart = _command("restart", "Stop nodes orderly and start them again.", "restart n2 n3")
freeze = _command("freeze", "Suspend nodes (SIGSTOP): their sockets stay open and say nothing.", "freeze n1")
thaw = _command("thaw", "Let frozen nodes go on (SIGCONT).", "thaw n1")
