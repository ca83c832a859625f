import pytest
import trio

from broker.amqp.errors import ChannelException, ConnectionException
from broker.cluster.refusal import Refused
from broker.vhosts.client import User
from tests.vhosts.halls import open_cluster
from tests.vhosts.room import open_hall


async def test_a_vhost_is_for_those_who_have_rights_in_it(autojump_clock):
    async with open_hall() as hall:
        await hall.tree.propose({"do": "put_vhost", "name": "orders"})
        with pytest.raises(ConnectionException) as caught:
            hall.open_vhost(User("guest"), "orders", "c")
        assert (caught.value.code, caught.value.why) == (530, "access to vhost 'orders' refused for user 'guest'")
        rights = {"user": "guest", "vhost": "orders", "configure": ".*", "write": ".*", "read": ".*"}
        await hall.tree.propose({"do": "put_permission", **rights})
        vhost, client = hall.open_vhost(User("guest"), "orders", "c")
        assert (vhost.name, client.vhost) == ("orders", "orders")
        access = client.access("orders")
        assert client.access("orders") is access
        await hall.tree.propose({"do": "clear_permission", "user": "guest", "vhost": "orders"})
        assert not client.access("orders").may("configure", "q")
        await hall.tree.propose({"do": "delete_vhost", "name": "orders"})
        with pytest.raises(ConnectionException, match="vhost orders not found"):
            hall.open_vhost(User("guest"), "orders", "c")


async def test_a_client_that_goes_takes_its_exclusive_queues_along(autojump_clock):
    async with open_hall() as hall:
        vhost, client = hall.open_vhost(User("guest"), "/", "c")
        facts = {"passive": False, "durable": False, "exclusive": True, "auto_delete": False, "arguments": {}}
        await hall.declarations.declare_queue(client, "mine", **facts)
        await hall.close_client(client)
        assert "mine" not in vhost.handles


async def test_a_refusal_of_the_tree_becomes_a_reply_code(autojump_clock):
    async with open_hall() as hall:
        _, client = hall.open_vhost(User("guest"), "/", "c")

        async def refuse(request):
            raise Refused("not_found", "no vhost '/'")

        hall.tree.propose = refuse
        with pytest.raises(ChannelException) as caught:
            await hall.declarations.delete_exchange(client, "x", if_unused=False)
        assert (caught.value.code, caught.value.why) == (404, "no vhost '/'")


async def test_any_node_can_have_mirrors_filled(autojump_clock):
    async with open_cluster(2) as cluster:
        one, two = cluster.nodes["n1"].hall, cluster.nodes["n2"].hall
        await one.declarations.declare_plain("/", "q")
        client = await cluster.nodes["n1"].client()
        client.connection.publish(1, "", "q", b"old")
        await client.flush()
        await trio.sleep(1)
        cluster.mirror()
        await cluster.until(lambda: one.catalogue.vhosts["/"].handles["q"].local.statistics()["missing"] == {"n2": 1})
        assert not await two.synchronise(cluster.nodes["n2"].handle("q"), start=False)
        assert await two.synchronise(cluster.nodes["n2"].handle("q"), start=True)
        await cluster.until_in_sync("q", "n1", "n2")
        assert not await one.synchronise(cluster.nodes["n1"].handle("q"), start=True)
        assert two.peers == ["n1"]
