"""`warren partition` and `warren heal`: links between nodes are cut and mended, by the nodes themselves.

Decides who must drop whose traffic. The supervisor remembers it, so that a restarted node stays on its side.
"""

from collections.abc import Sequence

import click

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.options import with_cluster
from broker.cli.road import STATUS_TIMEOUT_S, Road
from broker.node.configuration import Cluster

Blocks = dict[str, dict[str, str]]
"""Node -> peer -> what the node drops: what it says to the peer ("out"), what the peer says ("in"), or "both"."""


@click.command(epilog="Example: warren partition n1 / n2 n3")
@click.argument("words", nargs=-1, required=True, metavar="NAME... / NAME...")
@click.option("--one-way", is_flag=True, help="Only what the left says to the right is lost.")
@with_cluster
def partition(cluster: Cluster, words: tuple[str, ...], *, one_way: bool) -> None:
    """Cut the links between groups of nodes. Nodes that are not named keep theirs."""
    groups = parse_groups(words, cluster.names)
    if one_way and len(groups) != 2:
        raise click.UsageError("--one-way takes two groups")
    blocks = blocks_between(groups, one_way=one_way)
    _tell(Road(cluster), blocks)
    cut = " / ".join(" ".join(group) for group in groups)
    click.echo(f"cut{' one way' if one_way else ''}: {cut} (`warren heal` mends it)")


@click.command(epilog="Example: warren heal")
@with_cluster
def heal(cluster: Cluster) -> None:
    """Mend every link that was cut."""
    road = Road(cluster)
    if road.has_supervisor:
        road.ask_supervisor({"do": "unblock"})
    answers = road.ask_all({"do": "unblock"}, STATUS_TIMEOUT_S)
    silent = [f"{name}: {answer}" for name, answer in answers.items() if isinstance(answer, Silent)]
    click.echo("every link of the nodes that answer is mended")
    for line in silent:
        click.echo(f"not told: {line}")
    if len(silent) == len(cluster.names):
        raise Failed(f"no node of cluster {cluster.name} answers")


def parse_groups(words: Sequence[str], names: Sequence[str]) -> list[list[str]]:
    """The groups between the slashes. Raises UsageError if they cannot be meant."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "/":
            groups.append([])
        else:
            groups[-1].append(word)
    if len(groups) < 2 or not all(groups):
        raise click.UsageError("put a / between the groups, as in: n1 / n2 n3")
    named = [name for group in groups for name in group]
    for name in named:
        if name not in names:
            raise click.UsageError(f"there is no node {name}: {', '.join(names)}")
        if named.count(name) > 1:
            raise click.UsageError(f"{name} is named twice")
    return groups


def blocks_between(groups: Sequence[Sequence[str]], *, one_way: bool) -> Blocks:
    """Who drops what. Both ends drop, so that a cut holds even if one of them cannot be told."""
    blocks: Blocks = {}
    for index, group in enumerate(groups):
        for other in groups[index + 1 :]:
            for left in group:
                for right in other:
                    blocks.setdefault(left, {})[right] = "out" if one_way else "both"
                    blocks.setdefault(right, {})[left] = "in" if one_way else "both"
    return blocks


def _tell(road: Road, blocks: Blocks) -> None:
    if road.has_supervisor:
        road.ask_supervisor({"do": "block", "blocks": blocks})
    deaf: dict[str, str] = {}
    for name, peers in blocks.items():
        try:
            road.ask(name, {"do": "block", "peers": peers}, STATUS_TIMEOUT_S)
        except Silent as silence:
            deaf[name] = str(silence)
    for name, why in deaf.items():
        if still := [peer for peer in blocks[name] if peer in deaf]:
            raise Failed(f"{name} is not cut from {', '.join(still)}, neither answers: {why}")
