"""All that can happen to a few agreement machines: a search through every order of messages, writes, deaths and starts.

Time stands still, or passes in leaps: before one no timer helps, behind it all that were due ring, in any order. A
machine is deterministic, so what becomes
of one by an event is found out once and remembered; a state of the cluster is three of those and what is on its way.
Links keep order; who dies may take along what it said last, or not; a write may be done in part.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from broker.cluster.entries import zxid_of
from broker.cluster.zab import NotLeading, Zab
from tests.cluster.zab_machine import NAMES, Applied, Event, Look, Machine, frozen, look_at
from tests.simulation.zab_judges import Broken

LEAP_S = 2.0
"""So much time passes at a leap: more than anybody waits for better votes or late links, less than makes one suspect
itself or others."""


class Outcome(NamedTuple):
    """What becomes of a machine by an event: its number, and what it says (to whom, event number)."""

    machine: int
    says: tuple[tuple[int, int], ...]


class Bounds(NamedTuple):
    """How much may happen at most."""

    proposals: int = 1
    deaths: int = 1
    starts: int = 0
    breaks: int = 0
    leaps: int = 0


class State(NamedTuple):
    """`machines` and the events in `links` (from i to j at 3 * i + j) by number; what was applied anywhere, who led in
    which epoch, and the time."""

    machines: tuple[int, int, int]
    links: tuple[tuple[int, ...], ...]
    left: Bounds
    history: Applied
    leaders: tuple[tuple[int, str], ...]
    now: float = 0.0


class Model:
    """The search. `make` builds a machine: `Zab`, or a broken one."""

    def __init__(self, make: Callable[..., Zab] = Zab, *, prompt_disks: bool = False, copies: int = 2) -> None:
        """With `prompt_disks` nothing else happens while something is due on a disk, but for deaths: fewer orders, so
        more can happen in them. What is applied has to be on so many disks (`copies`)."""
        self._make = make
        self._copies = copies
        self._prompt_disks = prompt_disks
        self._machines: list[bytes] = []
        self._looks: list[Look] = []
        self._machine_numbers: dict[Any, int] = {}
        self._events: list[Event] = []
        self._event_numbers: dict[Event, int] = {}
        self._outcomes: dict[tuple[int, Event, float], tuple[Outcome, ...]] = {}

    def search(self, begin: State, states_max: int) -> int:
        """Visit what can follow, nearest first; how many states there were. Raises Broken with the way to it."""
        came: dict[State, tuple[State, str] | None] = {begin: None}
        waiting = deque([begin])
        while waiting and len(came) < states_max:
            state = waiting.popleft()
            for act, following in self.successors(state):
                if following not in came:
                    came[following] = (state, act)
                    try:
                        self._judge(following)
                    except Broken as broken:
                        raise Broken(f"{broken}\n{told(came, following)}") from None
                    waiting.append(following)
        return len(came)

    def established(self) -> State:
        """Three members that have founded a cluster and have nothing to say any more."""
        one, two, three = (self._number_of(Machine(name)) for name in NAMES)
        return self.settled(State((one, two, three), ((),) * 9, Bounds(0, 0, 3, 0), (), ()))

    def settled(self, state: State) -> State:
        """What comes of it when everything that can happen does, turn and turn about."""
        for step in range(1000):
            acts = list(self.successors(state))
            if not acts:
                return state
            state = acts[step % len(acts)][1]
            self._judge(state)
        raise Broken("there is no end of it")

    def act(self, state: State, wanted: str) -> State:
        """What comes of it when this happens next."""
        state = next(following for act, following in self.successors(state) if act == wanted)
        self._judge(state)
        return state

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        """Everything that can happen next."""
        writing = [index for index, machine in enumerate(state.machines) if self._writes(machine, state.now)]
        indices = writing[:1] if self._prompt_disks and writing else range(3)
        for index in indices:
            name, machine = NAMES[index], state.machines[index]
            if not self._looks[machine].up:
                if state.left.starts:
                    yield f"{name} starts", self._start(state, index)
                continue
            for outcome in self._writes(machine, state.now):
                yield f"{name} writes", self._after(state, index, outcome)
            if state.left.deaths:
                yield from self._deaths(state, index)
            if writing and self._prompt_disks:
                return
            yield from self._arrivals(state, index)
            if self._looks[machine].deadline <= state.now > 0.0:
                for outcome in self._become(machine, ("tick",), state.now):
                    yield f"{name} looks at the clock", self._after(state, index, outcome)
            if state.left.proposals and self._looks[machine].leads:
                payload = b"%d by %s" % (state.left.proposals, name.encode())
                for outcome in self._become(machine, ("propose", payload), state.now):
                    left = state.left._replace(proposals=state.left.proposals - 1)
                    yield f"{name} proposes", self._after(state._replace(left=left), index, outcome)
        if state.left.breaks:
            yield from self._breaks(state)
        if state.left.leaps:
            left = state.left._replace(leaps=state.left.leaps - 1)
            yield "time passes", state._replace(now=state.now + LEAP_S, left=left)

    # What can happen.

    def _writes(self, machine: int, now: float) -> tuple[Outcome, ...]:
        return self._become(machine, ("disk",), now) if self._looks[machine].up else ()

    def _arrivals(self, state: State, index: int) -> Iterator[tuple[str, State]]:
        for sender in range(3):
            link = state.links[3 * sender + index]
            if link:
                event = self._events[link[0]]
                links = with_link(state.links, sender, index, link[1:])
                for outcome in self._become(state.machines[index], event, state.now):
                    after = self._after(state._replace(links=links), index, outcome)
                    yield f"{NAMES[index]} hears {event[0]} of {NAMES[sender]}", after

    def _deaths(self, state: State, index: int) -> Iterator[tuple[str, State]]:
        machine = state.machines[index]
        down = self._event(("down", NAMES[index], self._looks[machine].life, True))
        left = state.left._replace(deaths=state.left.deaths - 1)
        for outcome in self._become(machine, ("die",), state.now):
            for keeps in (True, False):
                links = state.links
                for other in range(3):
                    if other != index:
                        links = with_link(links, other, index, ())
                        if self._looks[state.machines[other]].up:
                            said = state.links[3 * index + other] if keeps else ()
                            links = with_link(links, index, other, (*said, down))
                act = f"{NAMES[index]} dies{'' if keeps else ', and nobody hears its last words'}"
                yield act, self._after(state._replace(links=links, left=left), index, outcome)

    def _start(self, state: State, index: int) -> State:
        (outcome,) = self._become(state.machines[index], ("start",), state.now)
        left = state.left._replace(starts=state.left.starts - 1)
        links = state.links
        up = self._event(("up", NAMES[index], self._looks[outcome.machine].life))
        for other in range(3):
            if other != index and self._looks[state.machines[other]].up:
                other_up = self._event(("up", NAMES[other], self._looks[state.machines[other]].life))
                links = with_link(links, index, other, (*links[3 * index + other], up))
                links = with_link(links, other, index, (other_up,))
        return self._after(state._replace(links=links, left=left), index, outcome)

    def _breaks(self, state: State) -> Iterator[tuple[str, State]]:
        left = state.left._replace(breaks=state.left.breaks - 1)
        lives = [self._looks[machine].life for machine in state.machines]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            if all(self._looks[state.machines[each]].up for each in (one, other)):
                links = state.links
                for left_, right in ((one, other), (other, one)):
                    news = [("down", NAMES[left_], lives[left_], False), ("up", NAMES[left_], lives[left_])]
                    links = with_link(links, left_, right, tuple(self._event(event) for event in news))
                yield f"the link of {NAMES[one]} and {NAMES[other]} breaks", state._replace(links=links, left=left)

    # What becomes of it.

    def _after(self, state: State, index: int, outcome: Outcome) -> State:
        links = state.links
        for to, event in outcome.says:
            if self._looks[state.machines[to]].up:
                links = with_link(links, index, to, (*links[3 * index + to], event))
        machines = list(state.machines)
        machines[index] = outcome.machine
        look = self._looks[outcome.machine]
        leaders = dict(state.leaders)
        if look.leads and leaders.setdefault(look.leads, NAMES[index]) != NAMES[index]:
            raise Broken(f"{NAMES[index]} and {leaders[look.leads]} lead epoch {look.leads}")
        history = max(state.history, look.applied, key=len)
        return state._replace(
            machines=tuple(machines), links=links, history=history, leaders=tuple(sorted(leaders.items()))
        )

    def _become(self, machine: int, event: Event, now: float) -> tuple[Outcome, ...]:
        key = (machine, event, now)
        found = self._outcomes.get(key)
        if found is None:
            found = self._outcomes[key] = tuple(self._try(self._machines[machine], event, now))
        return found

    def _try(self, pickled: bytes, event: Event, now: float) -> Iterator[Outcome]:
        machine: Machine = pickle.loads(pickled)
        after_disk: list[tuple[str, bytes]] = []
        match event:
            case ("start",):
                machine.start(self._make, now)
            case ("die",):
                yield from self._die(pickled)
                return
            case ("disk",):
                written = machine.write(now)
                if written is None:
                    return
                after_disk = written
            case _:
                try:
                    machine.feed(event, now)
                except NotLeading:
                    return
        assert machine.zab
        machine.hush()
        said = [*machine.zab.take_urgent(), *after_disk]
        number = self._number_of(machine)
        says = tuple((NAMES.index(to), self._event(("message", machine.name, data))) for to, data in said)
        yield Outcome(number, says)

    def _die(self, pickled: bytes) -> Iterator[Outcome]:
        due = pickle.loads(pickled).due()
        for done in range(len(due) + 1):
            machine: Machine = pickle.loads(pickled)
            for op in machine.due()[:done]:
                machine.disk.carry_out(op)
            machine.zab = None
            yield Outcome(self._number_of(replace(machine, applied=())), ())

    def _event(self, event: Event) -> int:
        number = self._event_numbers.get(event)
        if number is None:
            number = self._event_numbers[event] = len(self._events)
            self._events.append(event)
        return number

    def _number_of(self, machine: Machine) -> int:
        key = frozen(machine)
        number = self._machine_numbers.get(key)
        if number is None:
            number = self._machine_numbers[key] = len(self._machines)
            self._machines.append(pickle.dumps(machine, pickle.HIGHEST_PROTOCOL))
            self._looks.append(look_at(machine))
        return number

    # What must hold.

    def _judge(self, state: State) -> None:
        looks = [self._looks[machine] for machine in state.machines]
        for name, look in zip(NAMES, looks, strict=True):
            if look.applied != state.history[: len(look.applied)]:
                raise Broken(f"{name} has applied {look.applied}, somebody else {state.history}")
            if look.leads:
                lacks = [
                    entry for entry in state.history if entry[0] < zxid_of(look.leads, 0) and entry not in look.log
                ]
                if lacks:
                    raise Broken(f"{name} leads epoch {look.leads} without {lacks}")
        for entry in state.history:
            if sum(entry in look.on_disk for look in looks) < self._copies:
                raise Broken(f"{entry} was applied and is on too few disks")


def with_link(
    links: tuple[tuple[int, ...], ...], sender: int, receiver: int, events: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    at = 3 * sender + receiver
    return (*links[:at], events, *links[at + 1 :])


def told(came: dict[State, tuple[State, str] | None], state: State) -> str:
    """The way to a state."""
    acts = []
    step = came[state]
    while step is not None:
        state, act = step
        acts.append(act)
        step = came[state]
    return "\n".join(f"{number:3} {act}" for number, act in enumerate(reversed(acts), 1))
