"""One node, looked at closely: status, environment, memory_breakdown, server_version, log_tail, log_location.

Decides what is shown. Every figure is the node's own, or the system's about its process.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from broker.cli.ctl import output, terms
from broker.cli.ctl.call import Call, node_name
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit, Misuse
from broker.cli.ctl.health import alarm_lines
from broker.cli.ctl.listeners import line_of, listeners_of

UNITS: Final = {"gb": 1e9, "mb": 1e6, "kb": 1e3, "bytes": 1}
LINES = 50


@ctl_command("status", example="--node n1 --formatter json")
def status(call: Call) -> None:
    """Show what a node is, what it uses and what it listens on. `warren status` shows all of them."""
    facts = call.ask({"do": "describe"})
    node = node_name(call.node)
    logs = [str(path) for path in [_log_of(call, node)] if path.exists()]
    if call.is_json:
        call.print_object(_for_programs(node, facts, logs))
        return
    call.say(f"Status of node {call.node} ...")
    for line in output.sections(_for_people(node, facts, logs)):
        click.echo(line)


def _for_people(node: str, facts: Mapping[str, Any], logs: list[str]) -> dict[str, list[str]]:
    watermark = facts["settings"]["vm_memory_high_watermark"]
    setting = f"{watermark} of available memory" if isinstance(watermark, float) else f"{watermark} bytes"
    return {
        "Runtime": [
            f"OS PID: {facts['pid']}",
            f"OS: {facts['system']}",
            f"Uptime (seconds): {facts['uptime_s']:.0f}",
            f"Is under maintenance?: {output.shown(_is_drained(node, facts))}",
            f"RabbitMQ version: {facts['version']}",
            f"Node name: rabbit@{node}",
            f"Platform: {facts['platform']}",
            f"Crypto library: {facts['crypto']}",
            f"Cluster heartbeat timeout (net_ticktime): {facts['settings']['net_ticktime']:g}",
        ],
        "Data directory": [f"Node data directory: {facts['data_folder'] or '(none: data is kept in memory)'}"],
        "Config files": [f" * {name}" for name in _files(facts)],
        "Log file(s)": [f" * {name}" for name in logs],
        "Alarms": alarm_lines(node, facts),
        "Memory": [
            f"Total memory used: {_in(facts['memory_bytes'], 'gb')}",
            "Calculation strategy: rss",
            f"Memory high watermark setting: {setting}, computed to: {_in(facts['mem_limit'], 'gb')}",
        ],
        "File Descriptors": [f"Total: {facts['fd_used']}, limit: {facts['fd_total']}"],
        "Free Disk Space": [
            f"Low free disk space watermark: {_in(facts['disk_free_limit'], 'gb')}",
            f"Free disk space: {_in(facts['disk_free'], 'gb')}",
        ],
        "Totals": [
            f"Connection count: {facts['totals']['connection_count']}",
            f"Queue count: {facts['totals']['queue_count']}",
            f"Virtual host count: {facts['totals']['virtual_host_count']}",
        ],
        "Listeners": [line_of(listener) for listener in listeners_of(node, facts)],
    }


def _for_programs(node: str, facts: Mapping[str, Any], logs: list[str]) -> dict[str, Any]:
    """In the shape of RabbitMQ's JSON, without what has no meaning here."""
    watermark = facts["settings"]["vm_memory_high_watermark"]
    return {
        "pid": facts["pid"],
        "os": facts["system"],
        "uptime": round(facts["uptime_s"]),
        "is_under_maintenance": _is_drained(node, facts),
        "rabbitmq_version": facts["version"],
        "erlang_version": facts["platform"],
        "crypto_lib_version": facts["crypto"],
        "net_ticktime": facts["settings"]["net_ticktime"],
        "data_directory": facts["data_folder"],
        "config_files": _files(facts),
        "log_files": logs,
        "alarms": alarm_lines(node, facts),
        "memory": {"strategy": "rss", "total": {"rss": facts["memory_bytes"]}},
        "vm_memory_calculation_strategy": "rss",
        "vm_memory_high_watermark_setting": {"relative" if isinstance(watermark, float) else "absolute": watermark},
        "vm_memory_high_watermark_limit": facts["mem_limit"],
        "file_descriptors": {"total_used": facts["fd_used"], "total_limit": facts["fd_total"]},
        "disk_free": facts["disk_free"],
        "disk_free_limit": facts["disk_free_limit"],
        "totals": facts["totals"],
        "listeners": listeners_of(node, facts),
    }


def _is_drained(node: str, facts: Mapping[str, Any]) -> bool:
    return bool(facts["members"].get(node, {}).get("drained"))


def _files(facts: Mapping[str, Any]) -> list[str]:
    return [] if facts["config_file"] is None else [facts["config_file"]]


def _in(size_bytes: float, unit: str) -> str:
    return f"{round(size_bytes / UNITS[unit], 4):.4g} {unit}"


@ctl_command("environment", example="--node n1 --formatter json")
def environment(call: Call) -> None:
    """Show the settings of a node: those of its file, and the defaults of all others."""
    settings = call.ask({"do": "describe"})["settings"]
    if call.is_json:
        call.print_object({"rabbit": settings})
        return
    call.say(f"Application environment of node {call.node} ...")
    lines = [f"{{{name},{terms.text_of(value)}}}" for name, value in sorted(settings.items())]
    click.echo("[{rabbit,\n     [" + ",\n      ".join(lines) + "]}]")


@ctl_command("memory_breakdown", "[--unit <unit>]", example="--node n1 --unit mb")
@click.option("--unit", default="gb", show_default=True, type=click.Choice(tuple(UNITS)), help="Of the figures.")
def memory_breakdown(call: Call, unit: str) -> None:
    """Show what a node's memory is used for, as the system tells it."""
    parts = sorted(call.ask({"do": "describe"})["memory_parts"].items(), key=lambda part: -part[1])
    total = sum(size for _, size in parts) or 1
    if call.is_json:
        shown = {name: {"bytes": size, "percentage": round(100 * size / total, 2)} for name, size in parts}
        call.print_object(shown)
        return
    call.say(f"Reporting memory breakdown on node {call.node}...")
    for name, size in parts:
        click.echo(f"{name}: {_in(size, unit)} ({round(100 * size / total, 2)}%)")


@ctl_command("server_version", example="--node n1")
def server_version(call: Call) -> None:
    """Show with which version of RabbitMQ a node is compatible, as it tells its clients."""
    node, answer = call.look()
    call.say(f"Asking node rabbit@{node} for its RabbitMQ version...")
    call.passed(answer["version"], result="ok", value=answer["version"])


@ctl_command("log_location", example="--node n1")
def log_location(call: Call) -> None:
    """Show which file a node that `warren up` has started here writes to."""
    node, path = _log(call)
    call.say(f"Log file location(s) on node rabbit@{node} ...")
    call.passed(str(path), paths=[str(path)], node=f"rabbit@{node}", result="ok")


@ctl_command("log_tail", "[--number|-N <number>]", example="--node n1 -N 20")
@click.option("-N", "--number", default=LINES, show_default=True, help="How many lines.")
def log_tail(call: Call, number: int) -> None:
    """Show the last lines that a node wrote; `warren logs` shows those of all, and follows them."""
    from broker.cli.logs import Tail

    if number < 1:
        raise Misuse("Bad argument: --number must be a positive integer", Exit.DATA)
    node, path = _log(call)
    lines = Tail(path, "").last(number)
    call.say(f"Last {number} log lines on node rabbit@{node} ...")
    if call.is_json:
        call.print_rows(("message",), [{"message": line} for line in lines])
        return
    for line in lines:
        click.echo(line)


def _log(call: Call) -> tuple[str, Path]:
    """Whose log is meant, and where it is. Raises CtlFailure if it is not here."""
    node = call.about_node()
    path = _log_of(call, node)
    if not path.exists():
        text = f"rabbit@{node} has no log file here ({path}): who started it has what it wrote"
        raise CtlFailure(Exit.UNAVAILABLE, text)
    return node, path


def _log_of(call: Call, node: str) -> Path:
    from broker.cli.run_file import LOG_FILE

    return call.cluster().run_folder / node / LOG_FILE
