"""Chooses the nodes for a queue: where its master goes and which nodes hold mirrors.

Decides from the definition in force, the copies there are and the nodes that run; it starts and stops nothing, and must
not know queues or links. Chance is handed in. Source: RabbitMQ 3.10, `rabbit_mirror_queue_mode_{all,exactly,nodes}` and
`rabbit_queue_master_location_misc`.
"""

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple


class Placement(NamedTuple):
    """The wanted nodes. `mirrors` is without the master, kept mirrors oldest first, then new ones."""

    master: str
    mirrors: tuple[str, ...]


def is_mirrored(definition: Mapping[str, Any]) -> bool:
    """Whether the definition asks for copies; mirrored with no mirror at the moment is not the same as not mirrored."""
    return "ha-mode" in definition


def node_name(name: str) -> str:
    """The node that a policy names: `rabbit@n1`, as clients and definition files write it, is `n1`."""
    return name.removeprefix("rabbit@")


def place(
    definition: Mapping[str, Any],
    master: str,
    mirrors: Sequence[str],
    synchronised: Sequence[str],
    running: Sequence[str],
    chance: Random,
) -> Placement:
    """The wanted master and mirrors.

    `master` is the present one (at declaration: the proposed one); `mirrors` the nodes with living mirrors, oldest
    first; `synchronised` those of them that hold everything; `running` the nodes that may hold copies, the master's
    among them. An exclusive queue is not asked about: it stays where it is, alone.
    """
    match definition.get("ha-mode"):
        case "all":
            return _with_master(master, mirrors, [node for node in running if node != master])
        case "exactly":
            return _exactly(definition["ha-params"], master, mirrors, running, chance)
        case "nodes":
            named = list(dict.fromkeys(node_name(node) for node in definition["ha-params"]))
            return _nodes(named, master, mirrors, synchronised, running)
        case _:
            return Placement(master, ())


def relieved(placement: Placement, synchronised: Collection[str], drained: Collection[str]) -> Placement:
    """The same copies with the master on a node that is not in maintenance, if one of those holds everything; the
    node that has it now keeps its copy, as the youngest mirror."""
    master, mirrors = placement
    heirs = [node for node in mirrors if node in synchronised and node not in drained]
    if master not in drained or not heirs:
        return placement
    return Placement(heirs[0], (*(node for node in mirrors if node != heirs[0]), master))


def _exactly(count: int, master: str, mirrors: Sequence[str], running: Sequence[str], chance: Random) -> Placement:
    kept = list(mirrors)
    missing = count - 1 - len(kept)
    if missing <= 0:
        return Placement(master, tuple(kept[: count - 1]))
    # Sorted first, so that one seed means one choice whatever order the caller found the nodes in.
    free = sorted(node for node in running if node != master and node not in kept)
    return Placement(master, (*kept, *chance.sample(free, min(missing, len(free)))))


def _nodes(
    named: list[str], master: str, mirrors: Sequence[str], synchronised: Sequence[str], running: Sequence[str]
) -> Placement:
    # Without a synchronised mirror the master stays although the policy does not name it: it alone has the messages.
    wanted = named if synchronised or master in named else [master, *named]
    available = [node for node in wanted if node in running]
    if not available:
        return Placement(master, ())
    if master in available:
        return _with_master(master, mirrors, available)
    successors = [node for node in available if node in synchronised]
    return _with_master(successors[0] if successors else synchronised[0], mirrors, available)


def _with_master(master: str, mirrors: Sequence[str], nodes: Sequence[str]) -> Placement:
    kept = [node for node in mirrors if node in nodes]
    joined = [*kept, *(node for node in nodes if node not in kept)]
    return Placement(master, tuple(node for node in joined if node != master))


def first_master(
    locator: str | None,
    definition: Mapping[str, Any],
    local: str,
    masters: Mapping[str, int],
    chance: Random,
) -> str:
    """The node proposed as master of a new queue, before `place` is asked with it.

    `locator` is the `queue-master-locator` in force (None: client-local), `local` the node that the client speaks to,
    `masters` the number of masters on each running node. With ha-mode `nodes` the locators min-masters and random
    choose only among the nodes that the policy names, as far as they run. Equal counts go to the name that sorts first.
    """
    named = {node_name(node) for node in definition["ha-params"]} if definition.get("ha-mode") == "nodes" else None
    candidates = sorted(node for node in masters if named is None or node in named) or sorted(masters)
    if not candidates or locator not in ("min-masters", "random"):
        return local
    if locator == "random":
        return chance.choice(candidates)
    return min(candidates, key=lambda node: masters[node])
