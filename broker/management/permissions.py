"""What users may do in virtual hosts, and with which routing keys: /api/permissions and
/api/topic-permissions, and the rows of list_permissions and its siblings.

Decides field names. Source: RabbitMQ 3.10's HTTP API.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management import reply
from broker.management.listing import Row, agreed
from broker.management.refusals import BadRequest, NotFound

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.reply import Reply
    from broker.management.visit import Visit


def rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """Permissions in these virtual hosts."""
    return [record._asdict() for vhost in vhosts for record in schema.permissions(tree, vhost)]


def topic_rows(tree: "Tree", vhosts: Sequence[str]) -> list[Row]:
    """Topic permissions in these virtual hosts."""
    return [record._asdict() for vhost in vhosts for record in schema.topic_permissions(tree, vhost)]


listing = agreed(rows)
topics = agreed(topic_rows)


# ------------------------------------------------------------------ by HTTP


def everywhere(visit: "Visit") -> list[Row]:
    """What all users may do in all vhosts."""
    return rows(visit.tree, _names(visit))


def everywhere_by_key(visit: "Visit") -> list[Row]:
    """Which routing keys users may use, everywhere."""
    return topic_rows(visit.tree, _names(visit))


def in_vhost(visit: "Visit") -> list[Row]:
    """What users may do in a vhost."""
    return rows(visit.tree, [visit.vhost])


def in_vhost_by_key(visit: "Visit") -> list[Row]:
    """Which routing keys users may use in a vhost."""
    return topic_rows(visit.tree, [visit.vhost])


def of_user(visit: "Visit") -> list[Row]:
    """What a user may do in all vhosts."""
    return _of(visit, rows)


def of_user_by_key(visit: "Visit") -> list[Row]:
    """Which routing keys a user may use, everywhere."""
    return _of(visit, topic_rows)


def single(visit: "Visit") -> Row:
    """What a user may do in a virtual host."""
    found = _there(visit, in_vhost(visit))
    return found[0]


def single_by_key(visit: "Visit") -> list[Row]:
    """Which routing keys the user may use, exchange by exchange."""
    return _there(visit, in_vhost_by_key(visit))


async def put(visit: "Visit") -> "Reply":
    """Say what a user may do in a vhost: regular expressions for names."""
    return await _put(visit, "put_permission")


async def put_by_key(visit: "Visit") -> "Reply":
    """Say which routing keys a user may use with one exchange."""
    return await _put(visit, "put_topic_permission")


async def delete(visit: "Visit") -> "Reply":
    """Let a user do nothing in a vhost."""
    await visit.propose("clear_permission", user=single(visit)["user"], vhost=visit.vhost)
    return reply.DONE


async def delete_by_key(visit: "Visit") -> "Reply":
    """Let a user use every routing key, with one exchange or with all."""
    exchange = {"exchange": visit.part("exchange")} if visit.has_part("exchange") else {}
    user = single_by_key(visit)[0]["user"]
    await visit.propose("clear_topic_permission", user=user, vhost=visit.vhost, **exchange)
    return reply.DONE


def _names(visit: "Visit") -> list[str]:
    return [record.name for record in schema.vhosts(visit.tree)]


def _of(visit: "Visit", listed: "Callable[[Tree, Sequence[str]], list[Row]]") -> list[Row]:
    name = visit.part("name")
    if schema.user(visit.tree, name) is None:
        raise NotFound
    return [row for row in listed(visit.tree, _names(visit)) if row["user"] == name]


def _there(visit: "Visit", found: list[Row]) -> list[Row]:
    name = visit.part("name")
    own = [row for row in found if row["user"] == name]
    if not own:
        raise NotFound
    return own


async def _put(visit: "Visit", do: str) -> "Reply":
    user = visit.part("name")
    if not visit.has_vhost or schema.user(visit.tree, user) is None:
        raise BadRequest("vhost_or_user_not_found")
    return reply.put((await visit.propose(do, user=user, vhost=visit.part("vhost"), **dict(visit.body)))["created"])
