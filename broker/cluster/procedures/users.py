"""Requests about users, and about what they may do and how much of it.

Decides what a user's record says; a password arrives in the request and stays out of the log, which holds its hash. It
must not know how permissions are used. Source: RabbitMQ 3.10, `rabbit_auth_backend_internal`.
"""

from typing import Any

from broker.cluster import schema
from broker.cluster.asked import ask
from broker.cluster.passwords import SHA256, hash_password, is_hash
from broker.cluster.procedures.draft import Answer, Draft
from broker.cluster.procedures.limits import check_limits
from broker.cluster.procedures.vhosts import check_vhost
from broker.cluster.records import PermissionRecord, UserRecord
from broker.cluster.refusal import Refused
from policies.patterns import PatternInvalid, compile_pattern

USER_LIMITS = ("max-connections", "max-channels")


def put_user(draft: Draft) -> Answer:
    """A user: name, tags, limits, and password or password_hash and hashing_algorithm (neither: no password fits).

    `new`: refused if there is one of this name. Limits that are not named stay as they are.
    """
    if draft.ask("new", bool, False) and draft.overlay.get(schema.user_path(draft.ask("name", str))) is not None:
        raise Refused("exists", f"user '{draft.ask('name', str)}' already exists")
    return {"created": write_user(draft, dict(draft.request))}


def change_user(draft: Draft) -> Answer:
    """What is named changes, the rest stays: name, and tags, password, or password_hash and hashing_algorithm."""
    present = check_user(draft, draft.ask("name", str))
    kept = {
        "tags": list(present.tags),
        "password_hash": present.password_hash,
        "hashing_algorithm": present.hashing_algorithm,
    }
    write_user(draft, kept | dict(draft.request))
    return {"changed": True}


def delete_user(draft: Draft) -> Answer:
    """The user goes with all permissions."""
    name = draft.ask("name", str)
    check_user(draft, name)
    for path in draft.overlay.find(schema.permissions_key(name)):
        draft.overlay.delete(path)
    draft.overlay.delete(schema.user_path(name))
    return {"deleted": True}


def set_user_limits(draft: Draft) -> Answer:
    """How many connections and channels a user may have: user, limits; those that are not named stay."""
    record = check_user(draft, draft.ask("user", str))
    limits = draft.ask("limits", dict)
    check_limits(limits, USER_LIMITS, "user-limits")
    draft.put(schema.user_path(record.name), record._replace(limits={**record.limits, **limits}))
    return {"changed": True}


def clear_user_limits(draft: Draft) -> Answer:
    """A limit of a user goes: user, limit; without `limit` all of them."""
    record = check_user(draft, draft.ask("user", str))
    cleared = draft.request.get("limit")
    kept = {} if cleared is None else {name: value for name, value in record.limits.items() if name != cleared}
    draft.put(schema.user_path(record.name), record._replace(limits=kept))
    return {"changed": True}


def put_permission(draft: Draft) -> Answer:
    """What a user may do in a virtual host: user, vhost, configure, write, read (regular expressions)."""
    rights = [draft.ask(right, str) for right in ("configure", "write", "read")]
    for pattern in rights:
        check_pattern(pattern, f"'{pattern}'")
    record = PermissionRecord(draft.ask("user", str), draft.ask("vhost", str), *rights)
    return {"created": write_permission(draft, record)}


def clear_permission(draft: Draft) -> Answer:
    """The user may do nothing in this virtual host."""
    user, vhost = draft.ask("user", str), draft.ask("vhost", str)
    check_user(draft, user)
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
    algorithm, limits = ask(wanted, "hashing_algorithm", str, SHA256), wanted.get("limits", {})
    if not isinstance(name, str) or not isinstance(tags, list) or not isinstance(limits, dict):
        raise Refused("invalid", "a user needs a name, tags as a list, and limits as an object")
    check_limits(limits, USER_LIMITS, "user-limits")
    if password is not None:
        password_hash, algorithm = hash_password(str(password), draft.chance), SHA256
    elif not isinstance(password_hash, str) or not is_hash(password_hash, algorithm):
        text = f"the password_hash of user '{name}' is not base64 of a salt and a digest of {algorithm}"
        raise Refused("invalid", text)
    present = schema.user(draft.overlay, name)
    limits = limits if present is None else {**present.limits, **limits}
    draft.put(schema.user_path(name), UserRecord(name, password_hash, algorithm, tuple(map(str, tags)), limits))
    return present is None


def write_permission(draft: Draft, record: PermissionRecord) -> bool:
    """Write a permission of a user and a virtual host that there are; whether it is new."""
    check_user(draft, record.user)
    check_vhost(draft, record.vhost)
    path = schema.permission_path(record.vhost, record.user)
    created = draft.overlay.get(path) is None
    draft.put(path, record)
    return created


def check_user(draft: Draft, name: str) -> UserRecord:
    """The user of this name. Raises Refused `no_user`."""
    record = schema.user(draft.overlay, name)
    if record is None:
        raise Refused("no_user", f"user '{name}' not found")
    return record


def check_pattern(pattern: str, shown: str) -> None:
    """Raises Refused for what is no regular expression; `shown`: how RabbitMQ prints it."""
    try:
        compile_pattern(pattern)
    except PatternInvalid as invalid:
        raise Refused("invalid", f"{{:invalid_regexp, {shown}, {{'{invalid.why}', {invalid.at}}}}}") from None
