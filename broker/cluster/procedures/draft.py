"""One request on its way to becoming a transaction.

Decides how a procedure reads its request and how records are put. It must not know any procedure.
"""

from collections.abc import Collection, Mapping
from random import Random
from typing import Any, TypeVar

from broker.cluster import schema
from broker.cluster.asked import REQUIRED, ask
from broker.cluster.lives import Lives
from broker.cluster.operations import Event
from broker.cluster.overlay import Overlay
from broker.cluster.records import Life, MemberRecord, encode
from broker.cluster.refusal import Refused

Request = Mapping[str, Any]
Answer = dict[str, Any]

T = TypeVar("T")


class Draft:
    """The state as the procedure sees it and changes it, with what it was asked."""

    __slots__ = ("chance", "overlay", "request", "zxid")

    def __init__(self, overlay: Overlay, request: Request, zxid: int, chance: Random) -> None:
        self.overlay = overlay
        self.request = request
        self.zxid = zxid
        self.chance = chance

    def ask(self, name: str, kind: type[T], default: T = REQUIRED) -> T:
        """A member of the request. Raises Refused `invalid` if it is missing without default, or of another type."""
        return ask(self.request, name, kind, default)

    def of(self, request: Request) -> "Draft":
        """Another request that is a part of this one."""
        return Draft(self.overlay, request, self.zxid, self.chance)

    def life(self) -> Life:
        """The life that the request is about."""
        return Life(self.ask("node", str), self.ask("life", int))

    def member(self) -> MemberRecord:
        """The member `node` that the request is about. Raises Refused `not_found`."""
        node = self.ask("node", str)
        record = schema.member(self.overlay, node)
        if record is None:
            raise Refused("not_found", f"{node} is not a member of this cluster")
        return record

    def lives(self, *, met: Life | None = None, ended: Collection[Life] = ()) -> Lives:
        """What is known of all lives now; `met` is in contact whatever the leader knew."""
        contact: dict[str, int] | None = self.ask("contact", dict, None)
        if contact is not None and met is not None:
            contact = contact | {met.node: met.number}
        return Lives(schema.members(self.overlay), contact, ended=ended)

    def put(self, path: str, record: Any) -> bool:
        """Write a record; False if it was there already, word for word."""
        return self.overlay.put(path, encode(record))

    def tell(self, event: Event) -> None:
        """News for the time line of every node."""
        self.overlay.event(event)
