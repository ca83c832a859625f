"""`warren apply`: a running cluster becomes what its file says.

Decides what is missing, what is too much, and in which order either is dealt with: first what the file names is set and
its new nodes come in, then, with --prune, what it does not name goes: nodes first, while the policies still keep copies
elsewhere. Without --prune that is only listed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from broker.cli.failures import Failed
from broker.cli.membership import Membership
from broker.cli.options import load_cluster, print_json, with_json
from broker.cli.readiness import contents
from broker.cli.road import Road
from broker.cluster.procedures.parameters import OPERATOR_POLICY
from broker.node.configuration import Cluster

KINDS = {"users": "user", "vhosts": "vhost", "policies": "policy", "operator_policies": "operator policy"}


@click.command(epilog="Example: warren apply cluster.yaml --prune")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The same as the argument.")
@click.option("--prune", is_flag=True, help="Remove what the file does not name; otherwise it is only listed.")
@with_json
def apply(file: Path | None, config: Path | None, *, prune: bool, as_json: bool) -> None:
    """Bring a running cluster to its file: nodes join; vhosts, users and policies are set.

    A node goes only once others hold everything that it has; its masters move before, and its clients are sent away.
    """
    cluster = load_cluster(file or config)
    done = Done((lambda _: None) if as_json else click.echo)
    failure: Failed | None = None
    try:
        bring(Road(cluster), done, prune=prune)
    except Failed as failed:
        failure = failed
    if as_json:
        print_json({kind: getattr(done, kind) for kind in ("set", "joined", "removed", "surplus", "outdated")})
    elif failure is None:
        click.echo(f"cluster {cluster.name} is what the file says" + ("" if not done.surplus else ", and more"))
    if failure is not None:
        raise failure


@dataclass(slots=True)
class Done:
    """What was done, and what is not in the file."""

    say: Callable[[str], None]
    set: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    """Nodes that run with other settings, or another mode, than the file says now."""

    def note_set(self, texts: list[str]) -> None:
        """The node has set these."""
        self.set += texts
        for text in texts:
            self.say(f"set {text}")

    def note_outdated(self, names: list[str]) -> None:
        """These know the file as it was when they were started."""
        self.outdated += names
        if names:
            self.say(
                f"settings count from the next start only: `warren restart` {', '.join(names)}, one after the other"
            )

    def note_surplus(self, text: str) -> None:
        """The file does not name this."""
        self.surplus.append(text)
        self.say(f"not in the file: {text} (--prune removes it)")

    def note_removed(self, text: str) -> None:
        """It is gone."""
        self.removed.append(text)
        self.say(f"removed {text}")


def bring(road: Road, done: Done, *, prune: bool) -> None:
    """Make the cluster of this road what the road's file says. Raises Failed."""
    cluster = road.cluster
    membership = Membership(road, done.say)
    done.joined += membership.join(cluster)
    done.note_outdated(membership.outdated)
    done.note_set(road.ask_any(contents(cluster)).get("set", []))
    for name in [name for name in reversed(membership.members()) if name not in cluster.names]:
        if prune:
            staying = [other for other in membership.members() if other != name]
            membership.remove(name, staying)
            done.removed.append(f"node {name}")
        else:
            done.note_surplus(f"node {name}")
    for what, request in _surplus(road, cluster):
        if prune:
            road.ask_any({"do": "change", "request": request})
            done.note_removed(what)
        else:
            done.note_surplus(what)


def _surplus(road: Road, cluster: Cluster) -> list[tuple[str, dict[str, Any]]]:
    """What the cluster has and the file does not name, each with the request that removes it."""
    named = _named(cluster)
    found: list[tuple[str, dict[str, Any]]] = []
    for kind, word in KINDS.items():
        for row in road.ask_any({"do": "facts", "kind": kind})["rows"]:
            name, vhost = row["name"], row.get("vhost", "")
            if (kind, vhost, name) in named or (vhost and ("vhosts", "", vhost) not in named):
                continue
            if kind in ("users", "vhosts"):
                found.append((f"{word} {name}", {"do": f"delete_{word}", "name": name}))
            else:
                operator = kind == "operator_policies"
                request = {"do": "clear_policy", "vhost": vhost, "name": name, "operator": operator}
                found.append((f"{word} {name} in vhost {vhost}", request))
    return found


def _named(cluster: Cluster) -> set[tuple[str, str, str]]:
    """Kind, vhost (of policies) and name of all that the file names, or the definitions that it names."""
    named = {("vhosts", "", name) for name in cluster.vhosts} | {("users", "", user.name) for user in cluster.users}
    named |= {("policies", policy.vhost, policy.name) for policy in cluster.policies}
    named |= {("operator_policies", policy.vhost, policy.name) for policy in cluster.operator_policies}
    request = contents(cluster)
    definitions = request.get("definitions", {})
    for kind in ("vhosts", "users"):
        named |= {(kind, "", entry["name"]) for entry in definitions.get(kind, ())}
    named |= {("policies", entry.get("vhost", "/"), entry["name"]) for entry in definitions.get("policies", ())}
    for entry in definitions.get("parameters", ()):
        if entry["component"] == OPERATOR_POLICY:
            named.add(("operator_policies", entry["vhost"], entry["name"]))
    return named
