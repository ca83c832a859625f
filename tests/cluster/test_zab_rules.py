"""Rules broken on purpose: for each there is a judge that notices, so that quiet seeds mean something."""

import pytest

from broker.cluster.entries import MARKER, Accept, DamagedLog, Entry, LogOp
from broker.cluster.following import Following
from broker.cluster.leading import Leading
from broker.cluster.member import Diverged, Member
from broker.cluster.messages import Status
from broker.cluster.partitions import Electorate
from broker.cluster.roles import Move
from tests.cluster.zab_worlds import by_majority
from tests.simulation.test_zab_seeds import run_seed
from tests.simulation.zab_disk import Disk
from tests.simulation.zab_judges import Broken


def complaint(size: int = 3, first: int = 0, **rules: bool) -> str:
    """What the first judge of safety says; judges of progress are passed over."""
    for seed in range(first, first + 300):
        try:
            run_seed(seed, size, **rules)
        except (Broken, Diverged, DamagedLog) as broken:
            if not str(broken).startswith("progress"):
                return f"{seed} {type(broken).__name__}: {broken}"
    return "nobody noticed"


def test_acknowledging_before_the_disk() -> None:
    assert "Broken: durability" in complaint(first=116, ack_before_disk=True)


def test_beginning_an_epoch_without_its_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    append = Member.append

    def without_marker(self: Member, entries: list[Entry]) -> None:
        append(self, [entry for entry in entries if entry.kind != MARKER or self.history.blank])

    find = Leading._find_committed

    def without_waiting(self: Leading, now: float) -> Move | None:
        if self._discovery.begun:
            self._marker = min(self._marker, self._member.history.last_zxid)
        return find(self, now)

    monkeypatch.setattr(Member, "append", without_marker)
    monkeypatch.setattr(Leading, "_find_committed", without_waiting)
    monkeypatch.setattr(Following, "_synchronised", property(lambda self: True))
    assert "Broken" in complaint()


def test_electing_one_that_knows_less(monkeypatch: pytest.MonkeyPatch) -> None:
    world = by_majority()
    world.crash("n3")
    world.run_until(lambda: world.leader is not None, 1.0)
    world.propose("n2")
    world.run(1.0)
    monkeypatch.setattr(Member, "position", (1 << 31, 1 << 62))
    status = Member.status

    def boast(self: Member, state: str = "looking") -> Status:
        said = status(self, state)
        said.last_epoch, said.last_zxid = 1 << 31, 1 << 62
        return said

    monkeypatch.setattr(Member, "status", boast)
    world.start("n3")
    world.cut("n2", "n3")  # it does not learn in time
    world.run(0.001)
    world.crash("n2")
    with pytest.raises((Broken, Diverged)):
        world.run(3.0)


def test_a_minority_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_of_five(self: Electorate, present: dict[str, str]) -> bool:
        return bool(self._lists) and all(sum(present.get(n) == f for n, f in roll.items()) >= 2 for roll in self._lists)

    monkeypatch.setattr(Electorate, "enough", two_of_five)
    assert "Diverged" in complaint(5, first=24)


def test_promises_that_are_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out = Disk.carry_out

    def forget(self: Disk, op: LogOp) -> None:
        if not isinstance(op, Accept):
            carry_out(self, op)

    monkeypatch.setattr(Disk, "carry_out", forget)
    assert "DamagedLog" in complaint()


def test_ending_lives_without_regard_to_their_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leading, "leases_over_at", property(lambda self: 0.0, lambda self, at: None), raising=False)
    assert "Broken: verdict" in complaint(first=275)


def test_a_lost_memory_that_votes() -> None:
    world = by_majority()
    world.cut("n3", "n1")
    world.cut("n3", "n2")
    world.crash("n3")
    world.run_until(lambda: world.leader is not None, 1.0)
    world.propose("n2")
    world.run(1.0)
    for name in ("n1", "n2"):
        world.crash(name)
    world.wipe("n2")
    world.nodes["n2"].folder = "folder-2"  # nobody can tell that this is another disk
    world.heal()
    world.start("n2")
    world.start("n3")
    with pytest.raises(Broken, match=r"leadership|durability"):
        world.run(3.0)
