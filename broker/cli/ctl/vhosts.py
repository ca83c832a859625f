"""Virtual hosts and their limits: add_vhost, delete_vhost, list_vhosts, set_vhost_tags, and *_vhost_limits.

Decides what is asked and printed.
"""

import click

from broker.cli.ctl import output
from broker.cli.ctl.call import Call
from broker.cli.ctl.columns import Listing, alike
from broker.cli.ctl.command import ctl_command
from broker.cli.ctl.documents import read_document
from broker.cli.ctl.failures import CtlFailure, Exit, no_vhost, validation_failed

VHOSTS = Listing("vhosts", alike("name description tags default_queue_type tracing cluster_state"), ("name",))


@ctl_command(
    "add_vhost",
    '<vhost> [--description <description> --tags "<tag1>,<tag2>,<...>" --default-queue-type <quorum|classic>]',
    example="shop --description 'the shop'",
)
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@click.option("--tags", default="", help="Words, with commas between.")
@click.option("--default-queue-type", type=click.Choice(("classic", "quorum")), help="Of queues that name none.")
def add_vhost(call: Call, name: str, description: str, tags: str, default_queue_type: str | None) -> None:
    """Create a virtual host; one that exists stays as it is."""
    call.say(f'Adding vhost "{name}" ...')
    facts = {"description": description, "tags": [tag.strip() for tag in tags.split(",") if tag.strip()]}
    kind = {} if default_queue_type is None else {"default_queue_type": default_queue_type}
    call.change({"do": "put_vhost", "name": name, "new": True, **facts, **kind})
    call.done()


@ctl_command("delete_vhost", "<vhost>", example="shop")
@click.argument("name")
def delete_vhost(call: Call, name: str) -> None:
    """Remove a virtual host with everything in it: queues, messages, exchanges, permissions, policies."""
    call.say(f'Deleting vhost "{name}" ...')
    call.change({"do": "delete_vhost", "name": name}, not_found=no_vhost(name))
    call.done()


@ctl_command("set_vhost_tags", "<vhost> <tag> [...]", example="shop production")
@click.argument("name")
@click.argument("tags", nargs=-1)
def set_vhost_tags(call: Call, name: str, tags: tuple[str, ...]) -> None:
    """Set the tags of a virtual host, these and no others."""
    call.say(f'Setting tags for virtual host "{name}" to {output.shown(tags)} ...')
    missing = CtlFailure(Exit.DATA, f'Virtual host "{name}" does not exist')
    call.change({"do": "put_vhost", "name": name, "tags": list(tags), "exists": True}, not_found=missing)
    call.done()


@ctl_command("list_vhosts", "[--no-table-headers] [<column> ...]", example="name description tags")
@click.argument("columns", nargs=-1)
def list_vhosts(call: Call, columns: tuple[str, ...]) -> None:
    """List the virtual hosts. Columns: name, description, tags, default_queue_type, tracing, cluster_state."""
    chosen = VHOSTS.chosen(columns)
    call.say("Listing vhosts ...")
    rows = [{"default_queue_type": "undefined", **row} for row in call.rows("vhosts")]
    for row in rows:
        row["cluster_state"] = [f"{{{node}, {state}}}" for node, state in row["cluster_state"].items()]
    call.print_rows(chosen, rows)


@ctl_command("set_vhost_limits", "[--vhost <vhost>] <definition>", example="""-p shop '{"max-queues": 100}'""")
@click.argument("definition")
def set_vhost_limits(call: Call, definition: str) -> None:
    """Limit connections and queues of a virtual host: {"max-connections": N, "max-queues": N}; -1 is no limit."""
    call.say(f'Setting vhost limits to "{definition}" for vhost "{call.vhost}" ...')
    limits = read_document(definition)
    request = {"do": "set_vhost_limits", "vhost": call.vhost, "limits": limits}
    call.change(request, not_found=no_vhost(call.vhost), invalid=validation_failed)
    call.done()


@ctl_command("clear_vhost_limits", "[--vhost <vhost>]", example="-p shop")
def clear_vhost_limits(call: Call) -> None:
    """Remove the limits of a virtual host."""
    call.say(f'Clearing vhost "{call.vhost}" limits ...')
    call.change({"do": "clear_vhost_limits", "vhost": call.vhost})
    call.done()


@ctl_command("list_vhost_limits", "[--vhost <vhost>] [--global] [--no-table-headers]", example="--global")
@click.option("--global", "everywhere", is_flag=True, help="Of all virtual hosts.")
def list_vhost_limits(call: Call, *, everywhere: bool) -> None:
    """Show the limits of a virtual host, or of all that have some."""
    if everywhere:
        call.say("Listing limits for all vhosts ...")
        rows = [{"vhost": row["vhost"], "limits": output.document(row["value"])} for row in call.rows("vhost_limits")]
        call.print_rows(("vhost", "limits"), rows)
        return
    call.say(f'Listing limits for vhost "{call.vhost}" ...')
    found = [output.document(row["value"]) for row in call.rows("vhost_limits", call.vhost)]
    text = found[0] if found else ""
    if call.is_json:
        call.print_object({"node": call.node, "result": "ok", "value": text})
    else:
        call.print_value(text)
