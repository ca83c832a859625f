"""The disk of one agreement machine in the simulation: what survives a crash, order by order."""

from broker.cluster.entries import (
    ROLL,
    Accept,
    Append,
    Commit,
    Compact,
    DurableState,
    Install,
    LogOp,
    Truncate,
    zxid_of,
)


def state_of(applied: list[tuple[int, bytes]]) -> bytes:
    return b"".join(zxid.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data for zxid, data in applied)


def applied_of(state: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(state):
        size = int.from_bytes(state[at + 8 : at + 12], "big")
        found.append((int.from_bytes(state[at : at + 8], "big"), state[at + 12 : at + 12 + size]))
        at += 12 + size
    return found


class Disk:
    """What survives a crash: the state after every order carried out so far."""

    def __init__(self) -> None:
        self.state = DurableState()

    def carry_out(self, op: LogOp) -> None:
        state = self.state
        match op:
            case Accept(epoch, view):
                state.accepted_epoch, state.accepted_view = epoch, view
            case Append(entries):
                state.entries = state.entries + list(entries)
            case Truncate(zxid):
                state.entries = [entry for entry in state.entries if entry.zxid <= zxid]
            case Install(snapshot):
                state.snapshot, state.entries = snapshot, []
            case Compact(snapshot):
                state.snapshot = snapshot
                state.entries = [entry for entry in state.entries if entry.zxid > snapshot.zxid]
            case Commit(zxid):
                state.committed = zxid

    def kept(self) -> set[int]:
        """The transactions and markers that are on it."""
        snapshot, found = self.state.snapshot, {entry.zxid for entry in self.state.entries if entry.kind != ROLL}
        if snapshot:
            found |= {zxid for zxid, _ in applied_of(snapshot.state)} | {
                zxid_of(epoch, 0) for epoch, _ in snapshot.epochs
            }
        return found

    def copy(self) -> DurableState:
        state = self.state
        return DurableState(
            state.accepted_epoch, state.committed, state.snapshot, list(state.entries), state.accepted_view
        )

    def has(self, zxid: int) -> bool:
        """Whether this entry, or a snapshot above it, is on the disk."""
        base = self.state.snapshot.zxid if self.state.snapshot else 0
        return zxid <= base or any(entry.zxid == zxid for entry in self.state.entries)
