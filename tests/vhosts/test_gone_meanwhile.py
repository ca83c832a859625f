"""A queue that is deleted while something is about to be asked for it is nobody's fault."""

from broker.mirroring.follower import Follower
from broker.vhosts.upkeep import Upkeep
from broker.wire.methods import QueueDeclare, QueueDeclareOk
from tests.vhosts.halls import open_cluster


async def test_neither_the_end_of_a_silent_mirror_nor_an_entry_is_proposed(autojump_clock):
    async with open_cluster(2) as cluster:
        cluster.mirror()
        client = await cluster.nodes["n1"].client()
        await client.ask(1, QueueDeclare(queue="q", durable=True), QueueDeclareOk)
        hall = cluster.nodes["n1"].hall
        local = cluster.nodes["n1"].handle("q").local
        cluster.decree.decide(do="delete_queue", vhost="/", name="q")
        upkeep = Upkeep(hall, 5.0, lambda key, reason: None, lambda key: None)
        await upkeep._remove(local, "n2")
        await hall._propose_entry(local, Follower("n2", 1))
