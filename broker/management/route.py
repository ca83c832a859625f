"""One line of the HTTP API's table: a method, a path, who may, what comes with it, and who answers.

Decides the shape of the table; the application and the API's own description are made from it. It must not know the
framework, nor what a resource says.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from broker.management.bodies import Body

if TYPE_CHECKING:
    from broker.management.visit import Visit

Answer = Callable[["Visit"], Any]
"""Gives a value that JSON knows (200), or a `Reply`; at once or awaited."""


CHANGE_S: Final = 60
"""So long may take what changes something, or waits: without a majority of the cluster it would be for ever."""


class Right(Enum):
    """Whom a route is for."""

    NOBODY = "everybody, without a login"
    ANY = "any tag of the API"
    VHOST = "who may enter the virtual host"
    POLICYMAKER = "policymaker of the virtual host, or administrator"
    MONITORING = "monitoring or administrator"
    ADMINISTRATOR = "administrator"


class Query(NamedTuple):
    """A parameter behind the question mark."""

    name: str
    kind: str
    """`string`, `integer` or `boolean`."""
    says: str


SHAPE = (
    Query("columns", "string", "Only these fields, with commas; a dot goes into an object."),
    Query("sort", "string", "Sorted by this field."),
    Query("sort_reverse", "boolean", "The other way round."),
)
"""What every list can be asked for."""
COLUMNS = SHAPE[:1]
"""What every object can."""
PAGES = (
    Query("page", "integer", "Which page, from 1 on; without it there is one list of all."),
    Query("page_size", "integer", "How many on a page, at most 500; else 100."),
    Query("name", "string", "With `page`: only those with this in their names, upper or lower case."),
    Query("use_regex", "boolean", "`name` is a regular expression."),
)
"""What long lists can."""


class Route(NamedTuple):
    """One line."""

    method: str
    path: str
    answer: Answer
    right: Right = Right.ANY
    body: type[Body] | None = None
    queries: tuple[Query, ...] = ()
    media: str = "application/json"
    """What its answer is, if there is one."""
    waits: bool = False
    """Whether it waits for a majority, or for the master of a queue: as what changes something does."""
    patience_s: float = CHANGE_S
    """How long it may take, if it changes something or waits."""


def one(path: str, answer: Answer, right: Right = Right.ANY, queries: tuple[Query, ...] = ()) -> Route:
    """A line for reading one object."""
    return Route("GET", path, answer, right, queries=(*COLUMNS, *queries))


def many(path: str, answer: Answer, right: Right = Right.ANY, queries: tuple[Query, ...] = ()) -> Route:
    """A line for reading a list."""
    return Route("GET", path, answer, right, queries=(*SHAPE, *queries))


def paged(path: str, answer: Answer, right: Right = Right.ANY, queries: tuple[Query, ...] = ()) -> Route:
    """A line for reading a list that comes in pages, if somebody asks for one."""
    return many(path, answer, right, (*PAGES, *queries))
