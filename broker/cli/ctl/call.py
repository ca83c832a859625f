"""One call of a command of `warren ctl`: its general options, the node that is asked, and what is printed when.

Decides who is asked, how long, and which lines the options suppress. It must not know any command.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import click

from broker.cli.ctl import output
from broker.cli.ctl.failures import CtlFailure, Denied, Exit, Misuse, no_vhost
from broker.cli.failures import Misused
from broker.cli.options import known_cluster

if TYPE_CHECKING:
    from broker.node.configuration import Cluster

ANSWER_TIMEOUT_S = 60
APP_STOPPED = (
    "this command requires the 'rabbit' app to be running on the target node. Start it with 'rabbitmqctl start_app'."
)
POLL_S = 0.1


@dataclass
class Settings:
    """The general options, wherever they stood on the line."""

    node: str | None = None
    vhost: str = "/"
    quiet: bool = False
    silent: bool = False
    timeout_s: int | None = None
    formatter: str = "table"
    no_table_headers: bool = False
    config: Path | None = None
    given: list[str] = field(default_factory=list)
    """The command line, for complaints."""


class Call:
    """What a command works with."""

    def __init__(self, settings: Settings, command: str) -> None:
        self.vhost = settings.vhost
        self._settings = settings
        self._command = command
        self._answered_by = self.named_node or ""
        self._reason = ""
        """Why the node that was looked at last does not serve."""

    # ------------------------------------------------------------------ asking

    def ask(self, request: dict[str, Any], timeout_s: int = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """The answer of the chosen node, or of any that serves. Raises Denied if it refuses."""
        settings = self._settings
        if settings.timeout_s is None:
            settings = replace(settings, timeout_s=timeout_s)
        answer = _asked(settings, self._command, request)
        self._answered_by = answer.pop("answered_by")
        if "error" in answer:
            raise Denied(str(answer.get("code", "")), str(answer["error"]))
        return answer

    def change(self, request: dict[str, Any], **refusals: CtlFailure | Callable[[str], CtlFailure]) -> dict[str, Any]:
        """Have a procedure of the shared state carried out."""
        return self.attempt({"do": "change", "request": request}, **refusals)

    def attempt(self, request: dict[str, Any], **refusals: CtlFailure | Callable[[str], CtlFailure]) -> dict[str, Any]:
        """The answer; `refusals`: what to say to a code of a refusal."""
        try:
            return self.ask(request)
        except Denied as denied:
            known = refusals.get(denied.code)
            if known is None:
                raise
            raise known(denied.why) if callable(known) else known from None

    def rows(self, kind: str, vhost: str | None = None) -> list[dict[str, Any]]:
        """The objects of a kind, of one virtual host or of all, with the field names of the HTTP API."""
        request = {"do": "facts", "kind": kind} | ({} if vhost is None else {"vhost": vhost})
        try:
            rows: list[dict[str, Any]] = self.ask(request)["rows"]
        except Denied as denied:
            if vhost is not None and denied.code == "not_found":
                raise no_vhost(vhost) from None
            raise
        return rows

    @property
    def timeout_s(self) -> float:
        """How long a node may take to answer."""
        return ANSWER_TIMEOUT_S if self._settings.timeout_s is None else self._settings.timeout_s

    @property
    def chosen_node(self) -> str | None:
        """Who was to be asked; None: anybody."""
        return None if self._settings.node is None else f"rabbit@{node_name(self._settings.node)}"

    def about_node(self) -> str:
        """The node that the command is about; unlike rabbitmqctl's, ours knows no local one. Raises Misuse."""
        if self._settings.node is None:
            raise Misuse("which node is meant has to be said: --node <node>")
        return node_name(self._settings.node)

    @property
    def named_node(self) -> str | None:
        """The node that was named, if one was."""
        return None if self._settings.node is None else node_name(self._settings.node)

    @property
    def node(self) -> str:
        """Who has answered."""
        return f"rabbit@{self._answered_by}"

    # ------------------------------------------------------------------ looking at nodes

    def cluster(self) -> "Cluster":
        """What the file says. Raises CtlFailure."""
        try:
            return known_cluster(self._settings.config)
        except Misused as wrong:
            raise CtlFailure(Exit.CONFIGURATION, wrong.message) from None

    def survey(self) -> dict[str, dict[str, Any]]:
        """What each node that answers says of itself (`status` without queues), members first."""
        from broker.cli.exchange import Silent
        from broker.cli.road import STATUS_TIMEOUT_S, Road

        found = Road(self.cluster()).ask_all({"do": "status", "queues": False}, STATUS_TIMEOUT_S)
        answers = {name: answer for name, answer in found.items() if not isinstance(answer, Silent)}
        if not answers:
            raise _unreachable(self._settings.node, "no node answers")
        return dict(sorted(answers.items(), key=lambda item: item[1]["state"] != "running"))

    def look(self, *, serving: bool = True) -> tuple[str, dict[str, Any]]:
        """A node, the one that was named or else one that serves if any does, and what it says of itself.

        `serving`: raises Misuse unless it serves clients, as only then it knows everything.
        """
        if self.named_node is not None:
            node, answer = self.named_node, self.look_at(self.named_node)
        else:
            node, answer = next(iter(self.survey().items()))
        if serving and answer["state"] != "running":
            why = f" (rabbit@{node} is {answer['state']}: {answer['reason']})" if answer.get("reason") else ""
            raise Misuse(APP_STOPPED + why, Exit.UNAVAILABLE)
        return node, answer

    def look_at(self, node: str) -> dict[str, Any]:
        """What this node says of itself. Raises CtlFailure if it does not answer."""
        from broker.cli.failures import Failed
        from broker.cli.road import STATUS_TIMEOUT_S, Road

        name = node_name(node)
        try:
            return Road(self.cluster()).ask(
                name, {"do": "status", "queues": False}, min(self.timeout_s, STATUS_TIMEOUT_S)
            )
        except Failed as failed:
            raise _unreachable(f"rabbit@{name}", failed.message) from None

    def state_of(self, node: str) -> str:
        """The node's state; "unreachable" if it does not answer. Raises CtlFailure if there is no such node."""
        from broker.cli.exchange import Silent
        from broker.cli.failures import Failed
        from broker.cli.road import STATUS_TIMEOUT_S, Road

        try:
            answer = Road(self.cluster()).ask(node, {"do": "status", "queues": False}, STATUS_TIMEOUT_S)
        except Silent:
            return "unreachable"
        except Failed as failed:
            raise _unreachable(f"rabbit@{node}", failed.message) from None
        self._reason = str(answer.get("reason") or "")
        return str(answer["state"])

    def reaches(self, node: str) -> bool:
        """Whether the process of this node answers."""
        return self.state_of(node) != "unreachable"

    def link_of(self, node: str) -> str:
        """Where the file or `warren up` says that the node is dialled; empty if neither knows it."""
        from broker.cli.failures import Failed
        from broker.cli.road import Road

        try:
            return str(Road(self.cluster()).link(node))
        except Failed:
            return ""

    def seconds(self, default: int) -> int:
        """How long is waited."""
        return default if self._settings.timeout_s is None else self._settings.timeout_s

    def poll(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether it becomes true within so long."""
        deadline_s = monotonic() + seconds
        while not condition():
            if monotonic() > deadline_s:
                return False
            sleep(POLL_S)
        return True

    def wait_for_state(self, node: str | None, wanted: Sequence[str], default_s: int) -> None:
        """Return when the node (None: any) has come to one of these states. Raises CtlFailure if it does not."""
        seconds = self.seconds(default_s)

        def has_come() -> bool:
            if node is None:
                return any(answer["state"] in wanted for answer in self._survey_if_any().values())
            state = self.state_of(node)
            if state == "failed" and state not in wanted:
                raise CtlFailure(Exit.UNAVAILABLE, self._reason)
            return state in wanted

        if not self.poll(has_come, seconds):
            asked = f"rabbit@{node}" if node else "any node"
            why = f"\n{self._reason}" if self._reason else ""
            text = f"Error: operation {self._command} on node {asked} timed out. Timeout value used: {seconds}{why}"
            raise CtlFailure(Exit.TIMEOUT, text, bare=True)

    def _survey_if_any(self) -> dict[str, dict[str, Any]]:
        try:
            return self.survey()
        except CtlFailure:
            return {}

    # ------------------------------------------------------------------ printing

    @property
    def is_plain(self) -> bool:
        """Whether people read it, not a program."""
        return self._settings.formatter in ("table", "pretty_table")

    @property
    def is_json(self) -> bool:
        return self._settings.formatter == "json"

    @property
    def is_quiet(self) -> bool:
        return self._settings.quiet or self._settings.silent

    def say(self, text: str) -> None:
        """A line about what is being done."""
        if self.is_plain and not self.is_quiet:
            click.echo(text)

    def done(self) -> None:
        """It is done, and there is nothing to print but that, if a program asked."""
        if self.is_json:
            self.print_object({"node": self.node, "result": "ok"})

    def print_object(self, value: Mapping[str, Any]) -> None:
        """One object on one line, for a program."""
        click.echo(output.compact(value))

    def print_value(self, text: str) -> None:
        """A single answer."""
        if self.is_json:
            self.print_object({"message": text})
        else:
            click.echo(text)

    def passed(self, text: str, *, hushed: bool = False, **facts: Any) -> None:
        """A check that succeeded, or what was asked; `facts` for programs. `hushed`: with --silent nothing is said."""
        if self.is_json:
            self.print_object(facts)
        elif not (hushed and self._settings.silent):
            click.echo(text)

    def failed(self, text: str, *, bare: bool = False, hushed: bool = False, **facts: Any) -> CtlFailure:
        """A check that failed; as `passed`."""
        if self.is_json:
            return CtlFailure(Exit.UNAVAILABLE, output.compact(facts), bare=True)
        if hushed and self._settings.silent:
            return CtlFailure(Exit.UNAVAILABLE, "", bare=True)
        return CtlFailure(Exit.UNAVAILABLE, text, bare=bare)

    def print_rows(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, streamed: bool = False) -> None:
        """A list. An empty one is an empty line as table, or nothing where RabbitMQ sends rows one by one."""
        headers = not (self._settings.silent or self._settings.no_table_headers)
        match self._settings.formatter:
            case "json":
                lines = output.as_json(columns, rows)
            case "csv":
                lines = output.as_csv(columns, rows, headers=headers)
            case "pretty_table":
                lines = output.box(columns, rows)
            case _:
                lines = output.table(columns, rows, headers=headers)
                if not rows and not streamed:
                    lines = [""]
        for line in lines:
            click.echo(line)


def _asked(settings: Settings, command: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer, with `answered_by`: the name of the node."""
    # Help and wrong arguments need neither sockets nor the file.
    from broker.cli.exchange import Silent
    from broker.cli.failures import Failed
    from broker.cli.road import STATUS_TIMEOUT_S, Road

    timeout_s = settings.timeout_s or 0
    deadline_s = monotonic() + timeout_s
    try:
        road = Road(known_cluster(settings.config))
    except Misused as wrong:
        raise CtlFailure(Exit.CONFIGURATION, wrong.message) from None
    name = None if settings.node is None else node_name(settings.node)
    if name is not None and name not in road.names:
        raise _unreachable(settings.node or "", f"the nodes of cluster {road.cluster.name}: {', '.join(road.names)}")
    try:
        name = name or road.first_that_serves(min(timeout_s, STATUS_TIMEOUT_S))
        answer = road.ask_all(request, max(0, deadline_s - monotonic()), among=(name,))[name]
        if not isinstance(answer, Silent):
            return {**answer, "answered_by": name}
        failure = _unreachable(f"rabbit@{name}", str(answer))
    except Failed as failed:
        failure = _unreachable(settings.node, failed.message)
    if monotonic() < deadline_s:
        raise failure
    asked = f"rabbit@{name}" if name else "any node"
    text = f"Error: operation {command} on node {asked} timed out. Timeout value used: {timeout_s}"
    raise CtlFailure(Exit.TIMEOUT, text, bare=True)


def node_name(text: str) -> str:
    """`rabbit@n1` and `n1` are the same node."""
    return text.removeprefix("rabbit@")


def _unreachable(node: str | None, why: str) -> CtlFailure:
    where = "any node" if node is None else f"node '{node}'"
    text = f"Error: unable to perform an operation on {where}. Please see diagnostics information below.\n\n{why}"
    return CtlFailure(Exit.UNAVAILABLE, text, bare=True)
