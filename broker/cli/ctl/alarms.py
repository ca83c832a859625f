"""What a node may use before publishers have to wait: set_vm_memory_high_watermark and set_disk_free_limit.

Decides what is asked and printed. The limits hold until the node's process ends.
"""

from collections.abc import Callable
from typing import Any

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import Exit, Misuse

NO_FRACTION = "The threshold should be a fraction between 0.0 and 1.0"


@ctl_command("set_vm_memory_high_watermark", "<fraction> | absolute <value>", example="absolute 2GB")
@click.argument("words", nargs=-1)
def set_vm_memory_high_watermark(call: Call, words: tuple[str, ...]) -> None:
    """Let a node use so much memory: a share of the machine's (0.4), or bytes (2000000000, 2GB, 2GiB)."""
    from broker.vhosts.alarms import memory_limit  # with much behind it, which help does not need

    limit, unit = _limit(words, "absolute")
    _check(memory_limit, limit)
    call.ask({"do": "set_vm_memory_high_watermark", "limit": limit})
    call.say(f"Setting memory threshold on {call.node} to {words[-1]}{' bytes' if unit else ''} ...")
    call.done()


@ctl_command("set_disk_free_limit", "<disk_limit> | mem_relative <fraction>", example="1GB")
@click.argument("words", nargs=-1)
def set_disk_free_limit(call: Call, words: tuple[str, ...]) -> None:
    """Keep so much room on a node's disk: bytes (1000000000, 1GB, 1GiB), or a multiple of the machine's memory."""
    from broker.vhosts.alarms import disk_free_limit

    limit, relative = _limit(words, "mem_relative")
    _check(disk_free_limit, limit)
    call.ask({"do": "set_disk_free_limit", "limit": limit})
    call.say(
        f"Setting disk free limit on {call.node} to {words[-1]} {'times the total RAM' if relative else 'bytes'} ..."
    )
    call.done()


def _limit(words: tuple[str, ...], keyword: str) -> tuple[dict[str, Any], bool]:
    """The limit as cluster.yaml has it, and whether the keyword stood before it. Raises Misuse."""
    if not words:
        raise Misuse("not enough arguments.")
    if len(words) > 2:
        raise Misuse("too many arguments.")
    with_keyword = len(words) == 2
    if with_keyword and words[0] != keyword:
        raise Misuse("Bad argument.", Exit.DATA)
    if (keyword == "absolute") is with_keyword:
        return {"absolute": words[-1]}, with_keyword
    try:
        return {"relative": float(words[-1])}, with_keyword
    except ValueError:
        raise Misuse("Bad argument.", Exit.DATA) from None


def _check(read: Callable[[Any], object], limit: dict[str, Any]) -> None:
    try:
        read(limit)
    except ValueError as error:
        text = f"Bad argument: {NO_FRACTION}" if NO_FRACTION in str(error) else "Bad argument."
        raise Misuse(text, Exit.DATA) from None
