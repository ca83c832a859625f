"""A synchronisation that an operator asked for is not forgotten because a mirror had not yet said what it holds."""

from broker.vhosts import by_hand
from tests.simulation.world import World, policy, simulate, until


def test_a_sync_asked_for_before_the_mirrors_have_stated_is_done_all_the_same() -> None:
    async def story(world: World) -> None:
        hall = world.hall("n1")
        assert hall is not None
        await hall.declarations.declare_plain("/", "orders")
        vhost = hall.catalogue.vhosts["/"]
        await by_hand.publish(vhost, "", "orders", [b"one", b"two"], persistent=True)
        await hall.tree.propose({"do": "put_policy", **policy({"ha-mode": "all"}, "^orders").as_json()})
        followers = hall.guests.locals[world.queue("orders").id].master.witnesses.followers
        assert [follower.stated for follower in followers.values()] == [False, False]
        assert await hall.synchronise(vhost.handle("orders"), start=True)
        await until(lambda: len(world.queue("orders").in_sync) == 3, 5)
        assert not await hall.synchronise(vhost.handle("orders"), start=True)

    simulate(1, story)
