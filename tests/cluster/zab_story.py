"""A story about the agreement machine: commands marked with `>`, and below each what the members did and said.

Time stands still but for the way of a message (1 ms) and the disk (1 ms), so a story is the same each time it is told.
"""

from functools import partial
from random import Random

from broker.cluster.entries import (
    MARKER,
    ROLL,
    Accept,
    Append,
    Commit,
    Compact,
    Entry,
    Install,
    LogOp,
    Truncate,
    counter_of,
    epoch_of,
)
from broker.cluster.member import Yields
from broker.cluster.messages import Alive, Follow, Marks, Message, Proposals, Report, SnapshotPart, Status, decode
from broker.cluster.partitions import MAJORITY, QuorumRule
from broker.cluster.zab import Ready, Zab
from tests.simulation.zab_judges import PartedJudges
from tests.simulation.zab_world import Node, World


class Always(Random):
    """Every throw of the dice gives the largest value."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Story(World):
    """Tells what happens, line by line."""

    def __init__(self, size: int, rule: QuorumRule) -> None:
        super().__init__(0, size, rule)
        if rule != MAJORITY:
            self.judges = PartedJudges()
        self.chance = Always()
        self.disk_s = self.delay_s = 0.001
        self.lines: list[str] = []
        self.quiet = False
        self._roles: dict[str, str] = {}

    def tell(self, text: str) -> None:
        if not self.quiet:
            self.lines.append(f"{self.now * 1000:7.0f}  {text}")

    def obey(self, command: str) -> None:
        verb, *names = command.split()
        match verb:
            case "start" | "crash" | "freeze" | "thaw" | "wipe" | "heal":
                for name in names or [""]:
                    getattr(self, verb)(*([name] if name else []))
            case "lose":  # the process is gone, but nothing proves it
                self.crash(names[0], proven=False)
            case "cut" | "break_link":
                getattr(self, verb)(names[0], names[1])
            case "propose":
                if not self.propose(names[0]):
                    self.tell(f"{names[0]} may not propose")
            case "epochs_end_at":
                self.machine = partial(Zab, counter_max=int(names[0]))
            case "run":
                self.run(float(names[0]) / 1000)
            case "quietly":
                self.quiet = True
                self.obey(command.partition(" ")[2])
                self.quiet = False
            case "show":
                self.show()
            case _:
                raise ValueError(f"no such command in a story: {command}")

    def show(self) -> None:
        for node in self.nodes.values():
            if node.zab is None:
                self.tell(f"{node.name} is down")
                continue
            applied = " ".join(point(zxid) for zxid, _ in node.applied) or "nothing"
            serves = "serves" if node.zab.has_quorum(self.now) else node.zab.waiting_for() or "does not serve"
            if node.zab.parted:
                self.tell(f"{node.name} says that another history is that of {', '.join(sorted(node.zab.parted))}")
            self.tell(f"{node.name} {node.zab.state}, log to {point(node.zab.last_zxid)}, applied {applied}: {serves}")

    def _drain(self, node: Node) -> None:
        assert node.zab
        role = node.zab.last_move
        if self._roles.get(node.name) != role:
            self._roles[node.name] = role
            self.tell(f"{node.name} {role if role.startswith(('leads', 'follows')) else 'looks: ' + role}")
        super()._drain(node)

    def _arrival(self, way, data, life):
        arrive = super()._arrival(way, data, life)
        generation = self._generation.get(way, 0)

        def told() -> None:
            node = self.nodes[way[1]]
            message = decode(data)
            heard = self._generation.get(way, 0) == generation and node.life == life and node.zab and not node.frozen
            if heard and not isinstance(message, Alive):  # it says nothing
                self.tell(f"{way[0]} -> {way[1]}  {said(message)}")
            arrive()

        return told

    def _heal_history(self, node: Node, yields: Yields) -> None:
        self.tell(f"{node.name} {yields}")
        super()._heal_history(node, yields)

    def _persist(self, node: Node, life: int, ready: Ready, done: int) -> None:
        if node.life == life and node.zab and not node.frozen and done == 0 and ready.log:
            self.tell(
                f"{node.name} writes {', '.join(written(op) for op in ready.log)}{'' if ready.sync else ' (lazily)'}"
            )
        super()._persist(node, life, ready, done)

    def _apply(self, node: Node, zab: Zab, ready: Ready) -> None:
        if ready.restore:
            self.tell(f"{node.name} restores {point(ready.restore.zxid)}")
        if ready.committed:
            self.tell(f"{node.name} applies {' '.join(named(entry) for entry in ready.committed)}")
        super()._apply(node, zab, ready)


def tell(text: str, size: int, rule: QuorumRule = MAJORITY) -> str:
    """The story told anew: its comments and commands stay, what follows a command is what happens now."""
    story = Story(size, rule)
    told: list[str] = []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            if not told or told[-1] != line or line.startswith("#"):
                told.append(line)
        elif line.startswith(">"):
            story.lines = []
            told.append(line)
            story.obey(line[1:].strip())
            told += story.lines
    return "\n".join(told) + "\n"


def point(zxid: int) -> str:
    return f"{epoch_of(zxid)}.{counter_of(zxid)}"


def named(entry: Entry) -> str:
    kind = {MARKER: " marker", ROLL: " members"}.get(entry.kind, "")
    return f"{point(entry.zxid)}{kind}"


def written(op: LogOp) -> str:
    match op:
        case Accept(epoch):
            return f"accepted epoch {epoch}"
        case Append(entries):
            return "entries " + " ".join(named(entry) for entry in entries)
        case Truncate(zxid):
            return f"truncate to {point(zxid)}"
        case Install(snapshot):
            return f"snapshot {point(snapshot.zxid)} in place of the log"
        case Compact(snapshot):
            return f"snapshot {point(snapshot.zxid)}"
        case Commit(zxid):
            return f"committed {point(zxid)}"


def said(message: Message) -> str:
    match message:
        case Status():
            text = message.state
            if message.state == "looking":
                text += f", votes {message.choice or 'for nobody'}, hears {' '.join(message.heard) or 'nobody'}"
                return f"{text}, log to {message.last_epoch}/{point(message.last_zxid)}"
            if message.state == "leading":
                return f"{text} epoch {message.epoch}{'' if message.established else ', not yet established'}"
            return f"{text} {message.choice} in epoch {message.epoch}"
        case Follow():
            ends = " ".join(point(last) for _, last in message.epochs) or "blank"
            return f"follow in epoch {message.epoch}{'' if message.counted else ' (not counted)'}, epochs end at {ends}"
        case Proposals():
            return f"after {point(message.previous)} come {' '.join(named(entry) for entry in message.entries)}"
        case SnapshotPart():
            return f"snapshot {point(message.zxid)} from byte {message.offset}"
        case Report():
            beat = f"beat {message.round}: " if message.round else ""
            return f"{beat}on disk to {point(message.durable)}, applied to {point(message.applied)}"
        case Marks():
            beat = f"beat {message.round}: " if message.round else ""
            return f"{beat}committed {point(message.committed)}, stable {point(message.stable)}"
        case Alive():
            return "is alive"
