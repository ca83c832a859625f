"""Requests about users and what they may do.

Decides what a user's record says; a password arrives in the request and stays out of the log, which holds its hash. It
must not know how permissions are used. Source: RabbitMQ 3.10, `rabbit_auth_backend_internal`.
"""

from typing import Any

from broker.cluster import schema
from broker.cluster.passwords import hash_password, is_hash
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.vhosts import check_vhost
from broker.cluster.records import PermissionRecord, UserRecord
from broker.cluster.refusal import Refused


def put_user(draft: Draft) -> Answer:
    """A user: name, tags, and password or password_hash (neither: no password fits)."""
    return {"created": write_user(draft, dict(draft.request))}


def delete_user(draft: Draft) -> Answer:
    """The user goes with all permissions."""
    name = draft.ask("name", str)
    _check_user(draft, name)
    for path in draft.overlay.find(schema.permissions_key(name)):
        draft.overlay.delete(path)
    draft.overlay.delete(schema.user_path(name))
    return {"deleted": True}


def put_permission(draft: Draft) -> Answer:
    """What a user may do in a virtual host: user, vhost, configure, write, read (regular expressions)."""
    rights = (draft.ask(right, str) for right in ("configure", "write", "read"))
    record = PermissionRecord(draft.ask("user", str), draft.ask("vhost", str), *rights)
    return {"created": write_permission(draft, record)}


def clear_permission(draft: Draft) -> Answer:
    """The user may do nothing in this virtual host."""
    user, vhost = draft.ask("user", str), draft.ask("vhost", str)
    _check_user(draft, user)
    check_vhost(draft, vhost)
    path = schema.permission_path(vhost, user)
    if draft.overlay.get(path) is None:
        return {"deleted": False}
    draft.overlay.delete(path)
    return {"deleted": True}


def write_user(draft: Draft, wanted: dict[str, Any]) -> bool:
    """Write a user as the fields say; whether it is new."""
    name, tags = wanted.get("name"), wanted.get("tags", [])
    password, password_hash = wanted.get("password"), wanted.get("password_hash", "")
    if not isinstance(name, str) or not isinstance(tags, list):
        raise Refused("invalid", "a user needs a name, and tags as a list")
    if password is not None:
        password_hash = hash_password(str(password), draft.chance)
    elif not isinstance(password_hash, str) or not is_hash(password_hash):
        raise Refused("invalid", f"the password_hash of user '{name}' is not base64 of a salt and a SHA-256 digest")
    path = schema.user_path(name)
    created = draft.overlay.get(path) is None
    draft.put(path, UserRecord(name, password_hash, tags=tuple(str(tag) for tag in tags)))
    return created


def write_permission(draft: Draft, record: PermissionRecord) -> bool:
    """Write a permission of a user and a virtual host that there are; whether it is new."""
    _check_user(draft, record.user)
    check_vhost(draft, record.vhost)
    path = schema.permission_path(record.vhost, record.user)
    created = draft.overlay.get(path) is None
    draft.put(path, record)
    return created


def _check_user(draft: Draft, name: str) -> None:
    if draft.overlay.get(schema.user_path(name)) is None:
        raise Refused("not_found", f"user '{name}' not found")
