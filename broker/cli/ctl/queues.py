"""purge_queue, delete_queue, sync_queue and cancel_sync_queue.

Decides what is asked and printed; the nodes do it.
"""

from time import sleep
from typing import Any

import click

from broker.cli.ctl.call import Call
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.failures import CtlFailure, Exit, Misuse

POLL_S = 0.2
"""How often a synchronisation is looked at."""
NOT_FOUND = CtlFailure(Exit.UNAVAILABLE, "not_found")
REFUSALS = {
    "not_found": NOT_FOUND,
    "not_mirrored": CtlFailure(Exit.UNAVAILABLE, "not_mirrored"),
    "quorum_queue": CtlFailure(Exit.UNAVAILABLE, "quorum_queue_not_supported"),
}
"""To who would synchronise mirrors."""


@ctl_command("purge_queue", "<queue>", example="orders")
@click.argument("queue")
def purge_queue(call: Call, queue: str) -> None:
    """Remove the messages of a queue that are ready; those that consumers hold stay."""
    call.say(f"Purging queue '{queue}' in vhost '{call.vhost}' ...")
    call.attempt(_asked(call, "purge_queue", queue), not_found=NOT_FOUND)
    call.done()


@ctl_command("delete_queue", "<queue_name> [--if-empty|-e] [--if-unused|-u]", example="orders --if-empty")
@click.argument("queue")
@click.option("-e", "--if-empty", is_flag=True, help="Only if no message is ready.")
@click.option("-u", "--if-unused", is_flag=True, help="Only if it has no consumer.")
def delete_queue(call: Call, queue: str, *, if_empty: bool, if_unused: bool) -> None:
    """Delete a queue with its messages."""
    if not queue:
        raise Misuse("queue name cannot be empty string.")
    conditions = [text for text, wanted in (("empty", if_empty), ("unused", if_unused)) if wanted]
    only = "and ".join(f"if queue is {text} " for text in conditions)
    call.say(f"Deleting queue '{queue}' on vhost '{call.vhost}' {only}...")
    answer = call.attempt(
        _asked(call, "delete_queue", queue, if_empty=if_empty, if_unused=if_unused),
        not_found=CtlFailure(Exit.USAGE, "Queue not found"),
        in_use=CtlFailure(Exit.USAGE, "Queue is in use"),
        not_empty=CtlFailure(Exit.USAGE, "Queue is not empty"),
    )
    call.print_value(f"Queue was successfully deleted with {answer['messages']} ready messages")


@ctl_command("sync_queue", "<queue>", example="orders")
@click.argument("queue")
def sync_queue(call: Call, queue: str) -> None:
    """Fill the mirrors of a queue, while it works on; returns when they have everything, or when that was cancelled."""
    call.say(f"Synchronising queue '{queue}' in vhost '{call.vhost}' ...")
    state = call.attempt(_asked(call, "sync", queue), **REFUSALS)["state"]
    while state == "syncing":
        sleep(POLL_S)
        state = call.attempt(_asked(call, "sync_state", queue), not_found=NOT_FOUND)["state"]
    call.done()


@ctl_command("cancel_sync_queue", "<queue>", example="orders")
@click.argument("queue")
def cancel_sync_queue(call: Call, queue: str) -> None:
    """Stop filling the mirrors of a queue; what has arrived stays."""
    call.say(f"Stopping synchronising queue '{queue}' in vhost '{call.vhost}' ...")
    if call.attempt(_asked(call, "cancel_sync", queue), **REFUSALS)["state"] == "not_syncing":
        call.print_value("not_syncing")
    else:
        call.done()


def _asked(call: Call, do: str, queue: str, **conditions: bool) -> dict[str, Any]:
    return {"do": do, "vhost": call.vhost, "queue": queue, **conditions}
