"""What is known of each life while one request is carried out: it goes on, it is over, or nobody can say.

Decides these words from the members' records and from `contact`: the newest lives with which the leader has links at
this moment. A life that the tree calls running but that the leader does not see is *unknown*: it may be frozen, cut
off, or dead since the whole cluster was killed. Nothing is decided in its favour, and nothing against it. It must not
know queues. Without `contact` everyone whom the tree calls running goes on.
"""

from collections.abc import Collection, Mapping

from broker.cluster.records import Life, MemberRecord


class Lives:
    """The lives of all members, for the length of one transaction."""

    def __init__(
        self,
        members: Mapping[str, MemberRecord],
        contact: Mapping[str, int] | None = None,
        *,
        ended: Collection[Life] = (),
    ) -> None:
        """`ended`: the lives that this very transaction ends."""
        self._members = members
        self.ended = frozenset(ended)
        seen = contact if contact is not None else {}
        self._current = {
            name: record.life
            for name, record in sorted(members.items())
            if record.running and seen.get(name, 0) <= record.life
        }
        known = self._current.items() if contact is None else self._current.items() & contact.items()
        self.reachable = {node: Life(node, number) for node, number in sorted(known)}
        """The lives that certainly go on, by node."""
        self.drained = frozenset(name for name, record in members.items() if record.drained)
        """The members in maintenance."""

    def is_over(self, life: Life) -> bool:
        """Certainly over: ended by a transaction, or a newer life of the node has been seen."""
        return self._current.get(life.node) != life.number

    def goes_on(self, life: Life) -> bool:
        """Certainly not over."""
        return self.reachable.get(life.node) == life

    def is_lost(self, life: Life) -> bool:
        """Over, and what it had on disk is gone with the disk, or with the node."""
        record = self._members.get(life.node)
        if record is None:
            return True
        return life.number < record.memory_from or (record.memory and self.is_over(life))

    def current(self, node: str) -> Life | None:
        """The life of this node that is not over."""
        number = self._current.get(node)
        return None if number is None else Life(node, number)

    def last(self, node: str) -> Life | None:
        """The newest life of this member, over or not; None if the node is no member."""
        record = self._members.get(node)
        return None if record is None else Life(node, record.life)

    def is_stopped(self, node: str) -> bool:
        """Whether this is a member without a life."""
        return node in self._members and node not in self._current

    def is_member(self, node: str) -> bool:
        """Whether there is such a member, with a life or without."""
        return node in self._members

    def is_drained(self, node: str) -> bool:
        """Whether the member is in maintenance."""
        return node in self.drained

    def keeps_nothing(self, node: str) -> bool:
        """Whether the member runs with `data: memory`."""
        record = self._members.get(node)
        return record is not None and record.memory
