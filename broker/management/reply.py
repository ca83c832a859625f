"""An answer that is more than a value: a status, headers.

Decides the shape. It must not know the framework.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Reply(NamedTuple):
    """What goes out; a plain value in its place means 200 with this value as JSON."""

    status: int
    value: Any = None
    headers: Mapping[str, str] = {}


DONE: Final = Reply(204)
CREATED: Final = Reply(201)


def put(created: bool) -> Reply:
    """The answer to PUT: whether it is new."""
    return CREATED if created else DONE
