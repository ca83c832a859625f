"""Users and their limits: /api/users, the rows of list_users and list_user_limits, and of definitions.

Decides field names. Source: RabbitMQ 3.10's HTTP API.
"""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster import schema
from broker.management import reply
from broker.management.listing import Row, agreed
from broker.management.refusals import BadRequest, NotFound

if TYPE_CHECKING:
    from broker.cluster.tree import Tree
    from broker.management.reply import Reply
    from broker.management.visit import Visit


def rows(tree: "Tree", _vhosts: Sequence[str] = ()) -> list[Row]:
    """All users, with what it takes to let them in elsewhere."""
    return [
        {
            "name": user.name,
            "password_hash": user.password_hash,
            "hashing_algorithm": user.hashing_algorithm,
            "tags": list(user.tags),
            "limits": dict(user.limits),
        }
        for user in schema.users(tree)
    ]


def _limits(tree: "Tree", _vhosts: Sequence[str]) -> list[Row]:
    return [{"user": user.name, "value": dict(user.limits)} for user in schema.users(tree) if user.limits]


listing = agreed(rows)
limits = agreed(_limits)


# ------------------------------------------------------------------ by HTTP


def everybody(visit: "Visit") -> list[Row]:
    """All users."""
    return rows(visit.tree)


def single(visit: "Visit") -> Row:
    """One user."""
    name = visit.part("name")
    found = next((row for row in rows(visit.tree) if row["name"] == name), None)
    if found is None:
        raise NotFound
    return found


def without_permissions(visit: "Visit") -> list[Row]:
    """Users who may enter no virtual host."""
    may = {record.user for vhost in schema.vhosts(visit.tree) for record in schema.permissions(visit.tree, vhost.name)}
    return [row for row in rows(visit.tree) if row["name"] not in may]


async def put(visit: "Visit") -> "Reply":
    """Make or change a user: tags, and a password, a hash of one, or neither. Limits stay unless they are named."""
    asked = visit.body
    if asked.tags is None:
        raise BadRequest("tags_not_present")
    said: Row = {"tags": asked.tags}
    if asked.password is not None:
        said["password"] = asked.password
    elif asked.password_hash is not None:
        said["password_hash"] = _checked_base64(asked.password_hash)
        if asked.hashing_algorithm is not None:
            said["hashing_algorithm"] = asked.hashing_algorithm
    if asked.limits is not None:
        said["limits"] = asked.limits
    answer = await visit.propose("put_user", name=visit.part("name"), **said)
    return reply.put(answer["created"])


async def delete(visit: "Visit") -> "Reply":
    """Remove a user with all permissions."""
    await visit.propose("delete_user", name=single(visit)["name"])
    return reply.DONE


async def delete_several(visit: "Visit") -> "Reply":
    """Remove several users; nobody goes unless all are there."""
    names = visit.body.users
    known = {row["name"] for row in rows(visit.tree)}
    for name in names:
        if name not in known:
            raise BadRequest(["no_such_user", name])
    for name in dict.fromkeys(names):
        await visit.propose("delete_user", name=name)
    return reply.DONE


def limited(visit: "Visit") -> list[Row]:
    """The limits of users who have some."""
    return _limits(visit.tree, ())


def limits_of(visit: "Visit") -> list[Row]:
    """The limits of one user."""
    name = single(visit)["name"]
    return [row for row in _limits(visit.tree, ()) if row["user"] == name]


async def put_limit(visit: "Visit") -> "Reply":
    """Limit the connections or the channels of a user; -1: no limit."""
    user = _known(visit)
    await visit.propose("set_user_limits", user=user, limits={visit.part("limit"): visit.body.value})
    return reply.DONE


async def delete_limit(visit: "Visit") -> "Reply":
    """Remove a limit of a user."""
    await visit.propose("clear_user_limits", user=_known(visit), limit=visit.part("limit"))
    return reply.DONE


def _known(visit: "Visit") -> str:
    name = visit.part("name")
    if schema.user(visit.tree, name) is None:
        raise BadRequest(["no_such_user", name])
    return name


def _checked_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise BadRequest(["not_base64", text]) from None
    return text
