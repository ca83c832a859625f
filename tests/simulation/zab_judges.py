"""Judges of the agreement protocol: they only look on, and fail the run that breaks a promise (ZAB, B9 1-11)."""

from collections.abc import Mapping
from typing import Any

from broker.cluster.entries import zxid_of
from broker.cluster.zab import Zab


class Broken(AssertionError):
    """A promise is broken; the text names it."""


class Judges:
    """Sees every machine after every event and every applied transaction."""

    def __init__(self) -> None:
        self.history: list[tuple[int, bytes]] = []
        self.proposals: dict[int, bytes] = {}
        self.leaders: dict[int, str] = {}
        self._seen: dict[str, int] = {}
        self._forgot: dict[str, int] = {}
        self._established_at: dict[int, float] = {}
        self._leases: dict[str, float] = {}

    def proposed(self, zxid: int, payload: bytes) -> None:
        if self.proposals.get(zxid, payload) != payload:
            raise Broken(f"total order: two transactions are {zxid:#x}")
        self.proposals[zxid] = payload

    def forgets(self, name: str, life: int) -> None:
        """This node lost its memory, or gave it up, at the end of that life."""
        self._forgot[name] = life

    def gave_up(self, name: str, zxids: set[int]) -> None:
        """These were on this node's disk."""

    def look_at_view(self, name: str, zab: Zab, nodes: Mapping[str, Any]) -> None:
        """Views: nothing is committed before all of the view have it on their disks, but for those who lost theirs."""
        for each, life in (zab._member.view or {}).items():
            if life > self._forgot.get(each, 0) and not nodes[each].disk.has(zab.committed):
                raise Broken(f"view: {name} commits {zab.committed:#x} in {zab.view}, and {each} does not have it")

    def look(self, name: str, zab: Zab, now: float) -> None:
        self._look_at_lease(name, zab)
        if not zab.leading:
            self._seen.pop(name, None)
            return
        if self.leaders.setdefault(zab.epoch, name) != name:
            raise Broken(f"leadership: {name} and {self.leaders[zab.epoch]} lead epoch {zab.epoch}")
        if self._seen.get(name) != zab.epoch:
            self._seen[name] = zab.epoch
            self._established_at.setdefault(zab.epoch, now)
            self._history_is_complete(name, zab)
        if zab.take_differing():
            raise Broken("digest: two members have another state at the same zxid")

    def _look_at_lease(self, name: str, zab: Zab) -> None:
        """S4: nobody's lease counts from a moment when a later leader than the one that granted it was there."""
        if zab.lease_until > self._leases.get(name, float("-inf")) and zab.epoch:
            sent_at = zab.lease_until - zab.lease_length
            late = [epoch for epoch, at in self._established_at.items() if epoch > zab.epoch and at < sent_at]
            if late:
                raise Broken(f"lease: {name} got one in epoch {zab.epoch} after epoch {late[0]} had begun")
        self._leases[name] = zab.lease_until

    def look_at_verdict(self, name: str, zab: Zab, other: str, life: int, lease_until: float, now: float) -> None:
        """S4: who may still act alone is held dead by no leader, however silent it is."""
        verdict = zab.verdict(other, life, now) if zab.leading and now < lease_until else None
        if verdict is not None and not verdict.proven:
            raise Broken(f"verdict: {name} holds {other} dead, which has a lease for {lease_until - now:.3f} s")

    def _history_is_complete(self, name: str, zab: Zab) -> None:
        """Durability (9) and primary integrity (8): a new leader has all that was ever applied of earlier epochs.

        A leader may find itself established late, when others have a newer epoch already; it can commit nothing then.
        """
        held = {entry.zxid: entry.payload for entry in zab._member.history.entries}
        base = zab._member.history.base_zxid
        for zxid, payload in self.history:
            if base < zxid < zxid_of(zab.epoch, 0) and held.get(zxid) != payload:
                raise Broken(f"durability: {name} leads epoch {zab.epoch} without {zxid:#x}")

    def applied(self, name: str, applied: list[tuple[int, bytes]]) -> None:
        """Prefix consistency, agreement, order: everyone's sequence is a prefix of one (2, 4, 5, 6, 7)."""
        shared = min(len(applied), len(self.history))
        start = max(shared - 4, 0)
        if applied[start:shared] != self.history[start:shared]:
            raise Broken(f"prefix: {name} applied {applied[start:shared]}, others {self.history[start:shared]}")
        for zxid, payload in applied[shared:]:
            if self.proposals.get(zxid) != payload:
                raise Broken(f"integrity: {name} applied {zxid:#x}, which nobody proposed")
            if self.history and self.history[-1][0] >= zxid:
                raise Broken(f"order: {zxid:#x} after {self.history[-1][0]:#x}")
            self.history.append((zxid, payload))

    def full_check(self, name: str, applied: list[tuple[int, bytes]]) -> None:
        """The whole sequence of one member, at the end of a run."""
        if applied != self.history[: len(applied)]:
            raise Broken(f"prefix: {name} ends with another history")


class PartedJudges(Judges):
    """For runs with partitions among views: histories are the branches of a tree, and nobody changes from one to the
    other unless he yields."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, int] = {}
        self.held: dict[str, list[tuple[int, bytes]]] = {}
        self._given_up: dict[str, set[int]] = {}
        self._decided_by: dict[int, tuple[str, ...]] = {}
        """By zxid the view in which it was committed first."""

    def gave_up(self, name: str, zxids: set[int]) -> None:
        """S9: what a view has committed none of it gives up, whether or not it knows that it is committed."""
        self._given_up.setdefault(name, set()).update(zxids)
        for zxid in zxids & self._decided_by.keys():
            self._look_at_given_up(name, zxid)

    def look_at_view(self, name: str, zab: Zab, nodes: Mapping[str, Any]) -> None:
        super().look_at_view(name, zab, nodes)
        known = nodes[name].disk.state.committed  # what is known in memory only nobody has acted upon
        for zxid in (entry.zxid for entry in zab._member.history.entries if entry.zxid <= known):
            if zxid not in self._decided_by:
                self._decided_by[zxid] = zab.view
                for each, given_up in self._given_up.items():
                    if zxid in given_up and not nodes[each].disk.has(zxid):
                        self._look_at_given_up(each, zxid)

    def _look_at_given_up(self, name: str, zxid: int) -> None:
        if name in self._decided_by[zxid]:
            raise Broken(f"evidence: {name} gave up {zxid:#x}, which was committed in {self._decided_by[zxid]}")

    def forgets(self, name: str, life: int) -> None:
        super().forgets(name, life)
        self.held.pop(name, None)
        self._given_up.pop(name, None)

    def look_at_verdict(self, name: str, zab: Zab, other: str, life: int, lease_until: float, now: float) -> None:
        """Either side holds the other one dead."""

    def _look_at_lease(self, name: str, zab: Zab) -> None:
        """Either side has its own."""

    def _history_is_complete(self, name: str, zab: Zab) -> None:
        """A new leader has all that anybody of its view ever applied in earlier epochs."""
        member = zab._member
        for each in {name, *zab.view}:
            earlier = [zxid for zxid, _ in self.held.get(each, []) if zxid < zxid_of(zab.epoch, 0)]
            for zxid in earlier[-1:]:
                if not member.history.contains(zxid):
                    raise Broken(f"durability: {name} leads {zab.view} without {zxid:#x}, which {each} applied")

    def applied(self, name: str, applied: list[tuple[int, bytes]]) -> None:
        held = self.held.get(name, [])
        shared = min(len(applied), len(held))
        if applied[:shared] != held[:shared]:
            raise Broken(f"prefix: {name} applied {applied[:shared][-4:]} after {held[:shared][-4:]}")
        if len(applied) > len(held):
            self.held[name] = list(applied)
        last = 0
        for zxid, payload in applied:
            if self.proposals.get(zxid) != payload:
                raise Broken(f"integrity: {name} applied {zxid:#x}, which nobody proposed")
            if self.before.setdefault(zxid, last) != last or last >= zxid:
                raise Broken(f"order: {name} applied {zxid:#x} after {last:#x}, others after {self.before[zxid]:#x}")
            last = zxid
        self.history = max(self.history, self.held.get(name, []), key=len)

    def full_check(self, name: str, applied: list[tuple[int, bytes]]) -> None:
        self.applied(name, applied)
