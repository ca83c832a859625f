"""A cluster that has nothing but its shared tree: real driver, log, links, procedures; network and disk are dice."""

from contextlib import asynccontextmanager
from random import Random

import trio

from broker.cluster import schema
from broker.cluster.records import Life
from broker.metadata.driver import Driver
from broker.metadata.shared_tree import SharedTree
from broker.peers.introduction import Credentials, Identity
from broker.peers.links import Links
from broker.storage.identity import Folder
from broker.storage.zab_log import ZabLog
from tests.simulation.disk import SimDisk
from tests.simulation.network import SimNetwork

COOKIE = "a cookie"
TOKEN = "t"
HA_ALL = {"name": "ha", "vhost": "/", "pattern": "^ha", "definition": {"ha-mode": "all", "ha-sync-mode": "automatic"}}


def address_of(name: str) -> str:
    return f"{name}:25672"


class Member:
    """One life of one node."""

    def __init__(self, name: str, folder: Folder, driver: Driver, links: Links) -> None:
        self.name = name
        self.folder = folder
        self.driver = driver
        self.links = links
        self.tree = SharedTree(driver)
        self.scope = trio.CancelScope()

    async def run(self, listener, task_status=trio.TASK_STATUS_IGNORED):
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.links.run, listener)
                await nursery.start(self.driver.run)
                task_status.started()

    async def register(self):
        """What a node does first."""
        return await self.tree.propose(
            {
                "do": "register_life",
                "node": self.name,
                "life": self.folder.life,
                "folder": self.folder.id,
                "blank": self.folder.blank,
                "token": TOKEN,
            }
        )


class Cluster:
    """Members n1, n2, … started and killed at will; `disks` outlive them."""

    def __init__(self, nursery, size, seed, delay_s):
        self.chance = Random(seed)
        self.network = SimNetwork(Random(seed), delay_s=delay_s)
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.disks = {name: SimDisk(Random(f"{seed}{name}")) for name in self.names}
        self.members = {}
        self._nursery = nursery

    def add(self, name):
        """One more node, which is not a member yet."""
        self.names.append(name)
        self.disks[name] = SimDisk(Random(name))

    async def start(self, name):
        """A new life; it has not registered yet."""
        disk, chance = self.disks[name], Random(self.chance.getrandbits(64))
        folder = await Folder.begin_life(disk, chance=chance, stamp_ms=int(1000 * trio.current_time()) + 1)
        disk_log = ZabLog(disk)
        durable = await disk_log.recover()
        host = self.network.host(name)
        credentials = Credentials(Identity(name, folder.life, folder.id), cluster="test", cookie=COOKIE)
        links = Links(host, credentials, {other: address_of(other) for other in self.names if other != name}, chance)
        driver = Driver(
            Life(name, folder.life),
            folder.id,
            self.names,
            durable,
            disk_log,
            links,
            chance,
            token=TOKEN,
            founding={"name": "test", "members": self.names, "policies": [HA_ALL]},
        )
        member = self.members[name] = Member(name, folder, driver, links)
        await self._nursery.start(member.run, await host.listen(address_of(name)))
        return member

    async def start_all(self):
        """Everybody runs, has registered, and has a link to everybody."""
        members = [await self.start(name) for name in self.names]
        async with trio.open_nursery() as nursery:
            for member in members:
                nursery.start_soon(member.register)
        return members

    def kill(self, name):
        """The process dies; what it wrote is on the disk."""
        self.members.pop(name).scope.cancel()
        self.network.kill(name)
        self.disks[name].kill()

    @property
    def leader(self):
        """The member that leads the latest epoch."""
        leaders = [m for m in self.members.values() if m.driver.zab.leading]
        return max(leaders, key=lambda member: member.tree.epoch, default=None)

    async def until(self, condition, seconds=20.0, step_s=0.01):
        """Wait until it is so; returns how long that took."""
        began = trio.current_time()
        with trio.fail_after(seconds):
            while not condition():  # noqa: ASYNC110 - nothing tells of a condition over several nodes
                await trio.sleep(step_s)
        return trio.current_time() - began

    def queue(self, member, name):
        return schema.queue(member.tree.tree, "/", name)


@asynccontextmanager
async def cluster_of(size=3, seed=1, delay_s=(0.0001, 0.001)):
    async with trio.open_nursery() as nursery:
        yield Cluster(nursery, size, seed, delay_s)
        nursery.cancel_scope.cancel()


def declare(name, member, **more):
    """A request for a durable queue by a client of this member."""
    here = {"node": member.name, "life": member.folder.life}
    return {"do": "declare_queue", "vhost": "/", "name": name, "durable": True, **here, **more}
