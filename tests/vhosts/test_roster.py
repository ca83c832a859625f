import trio

from broker.vhosts import roster
from broker.wire import methods
from broker.wire.basic_methods import BasicConsume, BasicConsumeOk, BasicQos, BasicQosOk, ConfirmSelect, ConfirmSelectOk
from tests.vhosts.halls import open_cluster


def rows_by(rows, name):
    return {row[name]: row for row in rows}


async def test_every_node_knows_the_connections_and_channels_of_all(autojump_clock):
    async with open_cluster() as cluster:
        await cluster.nodes["n1"].client()
        there = await cluster.nodes["n2"].client(channels=(1, 7))
        await there.ask(7, ConfirmSelect(), ConfirmSelectOk)
        await there.ask(7, BasicQos(0, 5, is_global=False), BasicQosOk)
        for name in ("n1", "n2"):
            roster = cluster.nodes[name].hall.roster
            connections = rows_by(await roster.everywhere("connections"), "node")
            assert set(connections) == {"rabbit@n1", "rabbit@n2"}
            row = connections["rabbit@n2"]
            assert row["pid"] == "<n2.1.1.0>"
            assert (row["user"], row["vhost"], row["channels"], row["state"]) == ("guest", "/", 2, "running")
            assert (row["peer_host"], row["peer_port"], row["port"]) == ("127.0.0.1", 50001, 5672)
            assert row["name"] == "127.0.0.1:50001 -> 127.0.0.1:5672"
            assert row["user_provided_name"] is None
            channels = rows_by(await roster.everywhere("channels"), "pid")
            assert set(channels) == {"<n1.1.1.1>", "<n2.1.1.1>", "<n2.1.1.7>"}
            row = channels["<n2.1.1.7>"]
            assert (row["number"], row["prefetch_count"], row["confirm"], row["connection"]) == (
                7,
                5,
                True,
                "<n2.1.1.0>",
            )


async def test_more_clients_than_one_call_lists(autojump_clock, monkeypatch):
    monkeypatch.setattr(roster, "CLIENTS_PER_CALL", 2)
    async with open_cluster() as cluster:
        for name, count in (("n1", 4), ("n2", 5)):
            for _ in range(count):
                await cluster.nodes[name].client()
        there = cluster.nodes["n2"].hall.roster
        there.leave(there.presences["<n2.1.2.0>"])
        pids = [f"<n1.1.{number}.0>" for number in (1, 2, 3, 4)] + [f"<n2.1.{number}.0>" for number in (1, 3, 4, 5)]
        for name in ("n1", "n2"):
            rows = await cluster.nodes[name].hall.roster.everywhere("connections")
            assert [row["pid"] for row in rows] == pids


async def test_a_single_active_consumer_is_told_from_those_that_wait(autojump_clock):
    async with open_cluster() as cluster:
        first, second = await cluster.nodes["n1"].client(), await cluster.nodes["n2"].client()
        declare = methods.QueueDeclare(queue="q", arguments={"x-single-active-consumer": True})
        await first.ask(1, declare, methods.QueueDeclareOk)
        await second.ask(1, BasicConsume(queue="q", consumer_tag="second"), BasicConsumeOk)
        await first.ask(1, BasicConsume(queue="q", consumer_tag="first"), BasicConsumeOk)
        await first.ask(1, methods.QueueDeclare(queue="other"), methods.QueueDeclareOk)
        await first.ask(1, BasicConsume(queue="other", consumer_tag="alone"), BasicConsumeOk)
        for name in ("n1", "n2"):
            rows = rows_by(await cluster.nodes[name].hall.roster.everywhere("consumers"), "consumer_tag")
            activity = {tag: (row["active"], row["activity_status"]) for tag, row in rows.items()}
            assert activity == {
                "first": (False, "waiting"),
                "second": (True, "single_active"),
                "alone": (True, "up"),
            }
            assert rows["second"]["queue"] == {"name": "q", "vhost": "/"}
            assert rows["second"]["channel_pid"] == "<n2.1.1.1>"


async def test_a_connection_is_closed_by_its_pid_or_its_name_wherever_it_is(autojump_clock):
    async with open_cluster() as cluster:
        roster = cluster.nodes["n1"].hall.roster
        by_pid = await cluster.nodes["n2"].client()
        by_name = await cluster.nodes["n2"].client()
        assert not await roster.close("<n2.1.99.0>", "nobody")
        assert await roster.close("<n2.1.1.0>", "enough")
        close = await by_pid.expect(methods.ConnectionClose)
        assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - enough")
        assert await roster.close("127.0.0.1:50002 -> 127.0.0.1:5672", "enough")
        await by_name.expect(methods.ConnectionClose)
        await by_name.ended()
        assert await roster.everywhere("connections") == []


async def test_only_the_node_that_a_pid_names_is_asked(autojump_clock):
    async with open_cluster(3) as cluster:
        asked = []

        async def tell(peer, fields):
            asked.append((peer, fields["who"]))
            return {"closed": False}, b""

        for name in ("n2", "n3"):
            cluster.nodes[name].hall.switchboard.answer("roster_close", tell)
        roster = cluster.nodes["n1"].hall.roster
        for pid in ("<n2.1.7.0>", "<n1.1.7.0>", "<gone.1.7.0>"):
            assert not await roster.close(pid, "enough")
        assert asked == [("n1", "<n2.1.7.0>")]
        assert not await roster.close("a name", "enough")
        assert len(asked) == 3


async def test_a_client_that_has_said_goodbye_counts_no_more(autojump_clock):
    async with open_cluster() as cluster:
        roster = cluster.nodes["n1"].hall.roster
        client = await cluster.nodes["n2"].client(channels=(1, 2))
        assert await roster.count("connections", vhost="/") == 1
        assert await roster.count("channels", user="guest") == 2
        await client.ask(2, methods.ChannelClose(200, "", 0, 0), methods.ChannelCloseOk)
        assert await roster.count("channels", user="guest") == 1
        await client.ask(0, methods.ConnectionClose(200, "", 0, 0), methods.ConnectionCloseOk)
        assert await roster.count("connections", vhost="/") == 0


async def test_a_client_may_say_of_itself_what_it_likes(autojump_clock):
    said = {"$": "Long", "value": "no number"}
    async with open_cluster() as cluster:
        talker = cluster.nodes["n2"].caller()
        call = talker.connection.call

        def call_with_more(channel, method):
            if isinstance(method, methods.ConnectionStartOk):
                method.client_properties["about"] = said
            call(channel, method)

        talker.connection.call = call_with_more
        await talker.open()
        for node in cluster.nodes.values():
            (row,) = await node.hall.roster.everywhere("connections")
            assert row["client_properties"]["about"] == said


async def test_who_waits_for_the_last_client_to_leave(autojump_clock):
    async with open_cluster(1) as cluster:
        clients = [await cluster.nodes["n1"].client() for _ in range(2)]
        there = cluster.nodes["n1"].hall.roster
        for client, gone in zip(clients, (False, True), strict=True):
            await client.stream.aclose()
            with trio.move_on_after(1) as waiting:
                await there.until_empty()
            assert waiting.cancelled_caught is not gone
