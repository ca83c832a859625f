"""The shared tree, as the rest of the node sees it: read it, watch it, ask for a change and wait.

Decides how many requests one node may have under way. It must not know how agreement comes about.
"""

from collections.abc import Callable
from typing import Any, Literal

import trio

from broker.cluster.partitions import Parted
from broker.cluster.tree import Tree
from broker.cluster.watches import Callback, Watch
from broker.metadata.driver import Driver

REQUESTS_MAX = 256
"""Under way at a time; others wait their turn (DESIGN S11)."""

_ROLES: dict[str, Literal["leader", "follower", "looking"]] = {
    "leading": "leader",
    "following": "follower",
    "looking": "looking",
}


class SharedTree:
    """The tree of this node, which is everybody's."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._slots = trio.CapacityLimiter(REQUESTS_MAX)

    @property
    def tree(self) -> Tree:
        """What is committed and applied here; reads are local."""
        return self._driver.state.tree

    def read(self, path: str) -> bytes | None:
        """The data at a path, None if there is no znode."""
        return self.tree.data(path)

    def watch(self, prefix: str, callback: Callback) -> Watch:
        """Have `callback` called for each change at or below `prefix`, after the transaction was applied here."""
        return self.tree.watches.add(prefix, callback, subtree=True)

    async def propose(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask for a change; returns when it is applied here and by every node whose life goes on (DESIGN S15).

        It is carried out once, also over a change of the leader; without a quorum it waits. Raises Refused. If the
        caller is cancelled, it may or may not be carried out.
        """
        driver = self._driver
        async with self._slots:
            pending = driver.requests.add(request, driver.applied)
            try:
                driver.turn()
                await pending.done.wait()
            finally:
                driver.requests.remove(pending)
        return pending.result()

    async def sync(self) -> None:
        """Return when everything is applied here that was committed when this was called (ZooKeeper's sync)."""
        await self.propose({"do": "sync"})

    # Where this node stands.

    @property
    def role(self) -> Literal["leader", "follower", "looking"]:
        """In the agreement."""
        return _ROLES[self._driver.zab.state]

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as this one knows."""
        return self._driver.zab.leader

    @property
    def epoch(self) -> int:
        """Of that leader; 0 while looking for one."""
        return self._driver.zab.epoch

    @property
    def voters(self) -> dict[str, str]:
        """Name -> folder id of the members with a vote, as this node's log has it; empty if that is blank."""
        return self._driver.zab.members

    @property
    def view(self) -> tuple[str, ...]:
        """The nodes of whom all have to agree; empty where a majority decides."""
        return self._driver.zab.view

    @property
    def parted(self) -> dict[str, Parted]:
        """By name the nodes in sight that live in another history."""
        return self._driver.zab.parted

    def yield_to(self, leader: str, epoch: int) -> None:
        """Give this node's history up for that of another leader: its life ends by that."""
        self._driver.yield_to(leader, epoch)

    @property
    def has_quorum(self) -> bool:
        """Whether this node serves: in an established majority, up to date, in touch, and awake."""
        return self._driver.zab.has_quorum(trio.current_time())

    def lease_valid(self) -> bool:
        """Whether nobody else can have been put in this node's place (DESIGN S3, S4)."""
        return trio.current_time() < self._driver.zab.lease_until

    @property
    def waiting_for(self) -> str:
        """In words, what keeps this node from serving; empty if nothing."""
        return self._driver.zab.waiting_for()

    @property
    def is_over(self) -> bool:
        """Whether the cluster has ended this life: only a new one can take part."""
        return self._driver.over

    def on_life_ended(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the cluster ends this life."""
        self._driver.on_over.append(callback)

    def on_quorum(self, callback: Callable[[bool], None]) -> None:
        """Have `callback` called whenever this node begins (True) or ceases (False) to have a quorum."""
        self._driver.on_quorum.append(callback)
