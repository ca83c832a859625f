"""The course of a drill: queues and a policy of its own, the crew at work, the rounds, the last deliveries, the report.

Decides in which order these follow each other, and that everything of the drill's own is removed. It must not know what
a fault is (`faults`, `rounds`), how messages are judged (`judge`) or how the report looks (`drill`).
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

import trio

from broker.perf.client import Client, Closed, Target
from broker.perf.control import Control, Helpless
from broker.perf.crew import PUBLISH_INTERVAL_S, Crew
from broker.perf.faults import FAULTS, Deck
from broker.perf.judge import Judge, promotion_figures
from broker.perf.rounds import Rounds, Stuck, match_promotions
from broker.perf.set_aside import count_set_aside
from broker.wire.methods import QueueDeclare, QueueDelete
from broker.world.network import Network

POLICY = {"ha-mode": "all", "ha-sync-mode": "automatic", "ha-promote-on-failure": "when-synced"}
POLICY_PRIORITY = 1_000_000
LAST_DELIVERIES_S = 30.0
QUIET_S = 5.0
ROUNDS_DEFAULT = 5

Say = Callable[[str], None]


@dataclass
class Orders:
    """What the user wants: `rounds` None = while the command runs; each publisher has a message each `interval_s`."""

    rounds: int | None = ROUNDS_DEFAULT
    faults: tuple[str, ...] = FAULTS[:1]
    seed: int = 0
    command: list[str] = field(default_factory=list)
    net_ticktime_s: float = 5.0
    interval_s: float = PUBLISH_INTERVAL_S


class Drill:
    """One drill on a cluster that runs."""

    def __init__(
        self,
        control: Control,
        targets: dict[str, Target],
        orders: Orders,
        say: Say,
        network: Network | None = None,
    ) -> None:
        self._control = control
        self._network = network
        self._orders = orders
        self._say = say
        self._targets = targets
        self._vhost = next(iter(targets.values())).vhost
        # Two drills on one cluster do not meet, and an old one's messages are nobody's.
        self._prefix = f"drill.{os.urandom(4).hex()}."
        self._declared: list[str] = []
        self._judge = Judge()
        self._crew = Crew(self._targets, self._judge, network, interval_s=orders.interval_s)
        self._deck = Deck(orders.faults, Random(orders.seed), net_ticktime_s=orders.net_ticktime_s)
        self._rounds = Rounds(
            control,
            self._crew,
            self._judge,
            self._deck,
            self._prefix,
            promotion_timeout_s=3 * orders.net_ticktime_s + 15,
            say=say,
        )
        self._failure: str | None = None
        self._command_exit: int | None = None

    async def run(self) -> dict[str, Any]:
        """The whole drill; its report. Raises Helpless if the cluster cannot be asked."""
        began_ms = time.time_ns() // 1_000_000
        policy = {"vhost": self._vhost, "name": f"{self._prefix}policy"}
        wanted = {
            **policy,
            "pattern": "^" + self._prefix.replace(".", r"\."),
            "apply-to": "queues",
            "priority": POLICY_PRIORITY,
            "definition": POLICY,
        }
        await self._control.ask_any({"do": "change", "request": {"do": "put_policy", **wanted}})
        try:
            for name in self._control.names:
                self._crew.queues.append(await self._declare(name))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._crew.work)
                await self._play()
                self._crew.stop()
                await self._take_last_deliveries()
                nursery.cancel_scope.cancel()
            aside = await self._set_aside()
            return self._report(await self._control.events(began_ms), aside)
        finally:
            with trio.CancelScope(shield=True):
                await self._clean_up(policy)

    async def _play(self) -> None:
        """The rounds, beside the user's command if there is one."""
        try:
            if not self._orders.command:
                for _ in range(self._orders.rounds or ROUNDS_DEFAULT):
                    await self._rounds.play(self._declare)
                return
            await self._rounds.settle()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_command)
                while self._command_exit is None:
                    if self._orders.rounds is None or len(self._rounds.log.rounds) < self._orders.rounds:
                        await self._rounds.play(self._declare)
                    else:
                        await trio.sleep(0.05)
        except* (Stuck, Helpless) as group:
            self._failure = "; ".join(map(str, _leaves(group)))
            self._say(f"drill: {self._failure}")

    async def _run_command(self) -> None:
        urls = [_url(target) for target in self._targets.values()]
        environment = {**os.environ, "AMQP_URL": urls[0], "AMQP_URLS": ",".join(urls)}
        try:
            done = await trio.run_process(self._orders.command, env=environment, check=False)
            self._command_exit = done.returncode
        except OSError as error:
            self._say(f"drill: {self._orders.command[0]}: {error.strerror}")
            self._command_exit = 127

    async def _declare(self, node: str) -> str:
        """One more queue, with its master on that node."""
        name = f"{self._prefix}{len(self._declared) + 1}"
        self._declared.append(name)
        try:
            async with await Client.open(self._targets[node], self._network) as client:
                await client.call(QueueDeclare(queue=name, durable=True))
        except Closed as closed:
            raise Helpless(f"{name} cannot be declared on {node}: {closed}") from None
        return name

    async def _take_last_deliveries(self) -> None:
        """Until all that was confirmed has arrived, or nothing more comes."""
        with trio.move_on_after(LAST_DELIVERIES_S):
            delivered, since = -1, trio.current_time()
            while self._crew.is_publishing or self._judge.awaited:
                if self._judge.delivered != delivered:
                    delivered, since = self._judge.delivered, trio.current_time()
                elif trio.current_time() - since > QUIET_S:
                    return
                await trio.sleep(0.1)

    async def _set_aside(self) -> set[tuple[int, int]]:
        try:
            return await count_set_aside(self._control, self._prefix)
        except Helpless as reason:
            self._failure = self._failure or f"what was set aside is not known: {reason}"
            return set()

    async def _clean_up(self, policy: dict[str, Any]) -> None:
        for target in self._targets.values():
            with suppress(Closed):
                async with await Client.open(target, self._network) as client:
                    for queue in self._declared:
                        await client.call(QueueDelete(queue=queue))
                    break
        with suppress(Helpless):
            await self._control.ask_any({"do": "change", "request": {"do": "clear_policy", **policy}})

    def _report(self, events: list[dict[str, Any]], aside: set[tuple[int, int]]) -> dict[str, Any]:
        log, orders = self._rounds.log, self._orders
        promotions = match_promotions(log.hits, self._judge, events)
        return {
            "seed": orders.seed,
            "rounds": len(log.rounds),
            **self._judge.verdict(aside),
            "promotions": promotions,
            **promotion_figures(promotions),
            "kills": self._deck.kills,
            "leader_kills": self._deck.leader_kills,
            "course": log.rounds,
            "failure": self._failure,
            "command_exit": self._command_exit,
        }


def _url(target: Target) -> str:
    user, password = quote(target.user, safe=""), quote(target.password, safe="")
    return f"amqp://{user}:{password}@{target.address}/{quote(target.vhost, safe='')}"


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
