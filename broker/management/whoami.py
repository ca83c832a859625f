"""/api/whoami."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.management.visit import Visit


def show(visit: "Visit") -> dict[str, Any]:
    """The user who asks."""
    return {"name": visit.user.name, "tags": list(visit.user.tags), "is_internal_user": True}
