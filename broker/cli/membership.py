"""Nodes come into a running cluster, and go: one at a time, so that neither a majority nor a copy is lost on the way.

Decides the steps, and when one would cost something: then it is refused, and the reason names what. Each step is a
request to a node that serves or to the supervisor; a sequence that was cut short is taken up by running it again.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic, sleep
from typing import Any

from broker.cli.exchange import Silent
from broker.cli.failures import Failed
from broker.cli.road import STATUS_TIMEOUT_S, Road
from broker.cli.status import fetch_status
from broker.cli.vocabulary import QueueRow, Status
from broker.node.configuration import Cluster

POLL_S = 0.1
FILL_S = 60.0
"""So long a new node is given to be filled and to get its vote, or mirrors elsewhere to be filled before one goes."""
STOP_S = 30.0
DRAIN_TIMEOUT_S = 60.0

Say = Callable[[str], None]
Members = dict[str, dict[str, Any]]


class Membership:
    """The members of one running cluster, changed from outside. `say` gets a line for each thing that is done."""

    def __init__(self, road: Road, say: Say) -> None:
        self._road = road
        self._say = say
        self.outdated: list[str] = []
        """Nodes that were started with settings, or a mode, that are others in the file that `join` was given."""

    def members(self) -> Members:
        """As a node that serves knows them. Raises Failed if none serves."""
        members: Members = self._road.ask_any({"do": "status", "queues": False})["members"]
        return members

    # ------------------------------------------------------------------ come

    def join(self, file: Cluster) -> list[str]:
        """Make members of the nodes that are in the file and no members yet; those of this machine are started."""
        members = self.members()
        wanted = [name for name in file.names if name not in members or members[name]["leaving"]]
        here: dict[str, str] = {}
        if self._road.has_supervisor:
            adopted = self._road.ask_supervisor({"do": "adopt", "cluster": file.as_json()})
            here, self.outdated = adopted["links"], adopted["outdated"]
            for name in adopted["started"]:
                self._say(f"{name} was started")
            for name in here.keys() - set(file.names) - members.keys():  # it was forgotten, or has another name now
                self._release(name)
            self._road.look_again()
        for name in wanted:
            self._check_stranger(name, members)
        for name in wanted:
            self._join(file, name, here.get(name))
            if members.get(name, {}).get("drained"):  # it was about to leave, and may stay after all
                self._road.ask_any({"do": "revive", "node": name})
        return wanted

    def _join(self, file: Cluster, name: str, here: str | None) -> None:
        address = file.node(name).link
        if here is None and address.port == 0:
            raise Failed(f"{name} cannot join: port 0 is only known on its own machine: give its link a port")
        link = here or str(address.reachable)
        self._change({"do": "add_member", "node": name, "link": link})
        if here is None:
            self._say(f"{name} is a member now; it is not of this machine: start it there (`warren node {name}`)")
            return

        if self._is_alive(name) is False:
            self._road.ask_supervisor({"do": "start", "node": name})
            self._say(f"{name} was started")
        woken = False

        def is_filled() -> str:
            nonlocal woken
            if not woken and self._state(name) == "failed":
                # In a folder of an earlier membership it was refused before it was let in again.
                self._ask(name, {"do": "start_app"})
                woken = True
            member = self.members().get(name, {})
            return "" if member.get("voter") and member.get("running") else f"{name} does not hold everything yet"

        _until(is_filled, FILL_S)
        self._say(f"{name} has joined")

    def _state(self, name: str) -> str:
        try:
            return str(self._ask(name, {"do": "status", "queues": False})["state"])
        except Failed:
            return "unreachable"

    def _check_stranger(self, name: str, members: Members) -> None:
        """Raises Failed for a node of another cluster than these members are: it would lose what it has."""
        known: Members = {}

        def is_heard() -> str:
            nonlocal known
            try:
                known = self._ask(name, {"do": "status", "queues": False})["members"]
            except Failed as failure:
                return failure.message if self._is_alive(name) else ""
            return ""

        _until(is_heard, STOP_S)
        if known and not known.keys() & members.keys():
            how = ", ".join(f"`warren ctl -n {name} {step}`" for step in ("stop_app", f"join_cluster {min(members)}"))
            raise Failed(
                f"{name} is of another cluster than {' '.join(members)}: {how} and `start_app` would bring it in, and "
                "cost it all that it has"
            )

    # ------------------------------------------------------------------ go

    def remove(self, name: str, staying: Sequence[str]) -> None:
        """Take one member out. `staying`: who is to be left in the end. Raises Failed if that would cost something."""
        status = fetch_status(self._road)
        running = {node["name"] for node in status["nodes"] if node["state"] == "running"}
        self._check_majority(name, staying, running)
        if name in running:
            self._wait_for_copies(name)
            self._drain(name)
        else:
            _raise_if(_sole_copies(status, name))
        self._change({"do": "retire_member", "node": name})
        _until(lambda: self._still(name, "voter"), FILL_S)
        self._stop(name, name in running)
        _until(lambda: self._still(name, "running"), STOP_S)
        self._change({"do": "forget_member", "node": name})
        if self._road.has_supervisor:
            self._release(name)
        self._say(f"{name} was taken out")

    def _drain(self, name: str) -> None:
        """Have its masters moved and its clients sent away. Raises Failed if some stay; then it serves again."""
        self._ask(name, {"do": "drain", "node": name}, DRAIN_TIMEOUT_S)
        try:
            self._wait_for_copies(name, masters_too=True)
        except Failed:
            self._road.ask_any({"do": "revive", "node": name})
            raise

    def _release(self, name: str) -> None:
        try:
            self._road.ask_supervisor({"do": "release", "node": name})
        except Failed as failed:
            self._say(f"{name} is no member, but its process is still there: {failed.message}")

    def _check_majority(self, name: str, staying: Sequence[str], running: set[str]) -> None:
        there = [other for other in staying if other in running]
        if 2 * len(there) <= len(staying):
            missing = " ".join(other for other in staying if other not in running)
            raise Failed(
                f"{name} stays: of {', '.join(staying)} only {', '.join(there) or 'none'} would run, which is no "
                f"majority (`warren start {missing}` first)"
            )

    def _wait_for_copies(self, name: str, *, masters_too: bool = False) -> None:
        """Until every queue could do without this node; `masters_too`: until it is master of none."""

        def what_is_lacking() -> str:
            status = fetch_status(self._road)
            lacking = _sole_copies(status, name)
            if masters_too:
                lacking += [f"{row['name']} has its master there" for row in status["queues"] if row["master"] == name]
            return f"{name} stays: {'; '.join(lacking)}" if lacking else ""

        _raise_if(_unmirrored(fetch_status(self._road), name))
        _until(what_is_lacking, FILL_S)

    def _still(self, name: str, what: str) -> str:
        member = self.members().get(name, {})
        return f"{name} is still {'a voter' if what == 'voter' else 'running'}" if member.get(what) else ""

    def _stop(self, name: str, is_running: bool) -> None:
        """The process, if it is the supervisor's; else the broker in it."""
        is_alive = self._is_alive(name)
        if is_alive:
            self._road.ask_supervisor({"do": "stop", "node": name})
        elif is_alive is None and is_running:
            self._ask(name, {"do": "stop_app"})
            self._say(f"{name}: its broker was stopped; its process is not of this machine, end it there")

    def _is_alive(self, name: str) -> bool | None:
        """Whether the node's process lives; None if it is not of this machine."""
        if not self._road.has_supervisor:
            return None
        process = self._road.ask_supervisor({"do": "processes"})["nodes"].get(name)
        return None if process is None else process["pid"] is not None

    def _ask(self, name: str, request: dict[str, Any], timeout_s: float = STATUS_TIMEOUT_S) -> dict[str, Any]:
        """This very node. Raises Failed if it refuses, or does not answer."""
        try:
            return self._road.ask(name, request, timeout_s)
        except Silent as silence:
            raise Failed(f"{name} does not answer: {silence}") from None

    def _change(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._road.ask_any({"do": "change", "request": dict(request)})


def _unmirrored(status: Status, name: str) -> list[str]:
    """Queues that nothing but this node has or ever will have."""
    return [
        f"{name} stays: it has the only copy of queue {row['name']} in vhost {row['vhost']}, which no policy mirrors"
        for row in status["queues"]
        if row["mirrors"] is None and row["master"] == name and not row["exclusive"]
    ]


def _sole_copies(status: Status, name: str) -> list[str]:
    """Queues for which nobody else holds everything, or that have no master now and may need this node for one."""
    running = {node["name"] for node in status["nodes"] if node["state"] == "running"}

    def needs(row: QueueRow) -> bool:
        if row["exclusive"]:
            return False
        if row["master"] is None:
            return name in (row["reason"] or "")
        holders = {row["master"], *(row["in_sync"] or ())}
        return name in holders and not (holders - {name}) & running

    return [f"nobody else holds all of queue {row['name']}" for row in status["queues"] if needs(row)]


def _raise_if(reasons: list[str]) -> None:
    if reasons:
        raise Failed("; ".join(reasons))


def _until(what_is_lacking: Callable[[], str], seconds: float) -> None:
    """Return when nothing is lacking. Raises Failed with what is, after so long."""
    deadline_s = monotonic() + seconds
    while True:
        try:
            lacking = what_is_lacking()
        except Failed as failure:  # while a new leader is elected nobody serves
            lacking = failure.message
        if not lacking:
            return
        if monotonic() > deadline_s:
            raise Failed(f"{lacking} (waited {seconds:g} s; `warren apply` goes on where this ended)")
        sleep(POLL_S)
