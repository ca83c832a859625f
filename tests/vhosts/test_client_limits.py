import pytest

from broker.wire import methods
from tests.vhosts.halls import open_cluster


def admit(cluster, user="ann", vhost="v"):
    cluster.decree.decide(do="put_vhost", name=vhost)
    cluster.decree.decide(do="put_user", name=user, password="secret")
    cluster.decree.decide(do="put_permission", user=user, vhost=vhost, configure=".*", write=".*", read=".*")


ANN = {"user": "ann", "password": "secret", "virtual_host": "v"}


async def refusal(node, **settings):
    """What a client hears instead of open-ok."""
    caller = node.caller(**settings)
    await caller.expect(methods.ConnectionStart)
    await caller.expect(methods.ConnectionTune)
    close = await caller.expect(methods.ConnectionClose)
    assert (close.failed_class_id, close.failed_method_id) == (10, 40)
    return close.reply_code, close.reply_text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            {"do": "set_vhost_limits", "vhost": "v"},
            "access to vhost 'v' refused for user 'ann': connection limit ({}) is reached",
        ),
        (
            {"do": "set_user_limits", "user": "ann"},
            "connection refused for user 'ann': user connection limit ({}) is reached",
        ),
    ],
)
async def test_connections_are_limited_over_all_nodes(request_, text, autojump_clock):
    async with open_cluster() as cluster:
        n1, n2 = cluster.nodes["n1"], cluster.nodes["n2"]
        admit(cluster)
        cluster.decree.decide(**request_, limits={"max-connections": 2})
        first = await n1.client(**ANN)
        await n2.client(**ANN)
        for node in (n1, n2):
            assert await refusal(node, **ANN) == (530, "NOT_ALLOWED - " + text.format(2))
        await first.ask(0, methods.ConnectionClose(200), methods.ConnectionCloseOk)
        await n2.client(**ANN)
        cluster.decree.decide(**request_, limits={"max-connections": 0})
        assert await refusal(n1, **ANN) == (530, "NOT_ALLOWED - " + text.format(0))
        cluster.decree.decide(**request_, limits={"max-connections": -1})
        await n1.client(**ANN)


async def test_a_vhost_that_is_not_there_is_told_before_any_limit(autojump_clock):
    async with open_cluster() as cluster:
        admit(cluster)
        cluster.decree.decide(do="set_user_limits", user="ann", limits={"max-connections": 0})
        heard = await refusal(cluster.nodes["n1"], **{**ANN, "virtual_host": "w"})
        assert heard == (530, "NOT_ALLOWED - vhost w not found")


async def test_channels_of_a_user_are_limited_over_all_nodes(autojump_clock):
    async with open_cluster() as cluster:
        admit(cluster)
        cluster.decree.decide(do="set_user_limits", user="ann", limits={"max-channels": 3})
        there = await cluster.nodes["n2"].client(channels=(1, 2), **ANN)
        here = await cluster.nodes["n1"].client(channels=(1,), **ANN)
        close = await here.ask(2, methods.ChannelOpen(), methods.ConnectionClose)
        words = "number of channels opened for user 'ann' has reached the maximum allowed user limit of (3)"
        assert (close.reply_code, close.reply_text) == (530, f"NOT_ALLOWED - {words}")
        assert (close.failed_class_id, close.failed_method_id) == (0, 0)
        await there.ask(1, methods.ChannelClose(200), methods.ChannelCloseOk)
        await there.ask(3, methods.ChannelOpen(), methods.ChannelOpenOk)
        await there.ask(4, methods.ChannelOpen(), methods.ChannelOpenOk)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"do": "delete_vhost", "name": "v"}, "vhost 'v' is deleted"),
        ({"do": "delete_user", "name": "ann"}, "user 'ann' is deleted"),
    ],
)
async def test_who_has_nothing_to_do_here_any_more_is_told_to_go(request_, why, autojump_clock):
    async with open_cluster() as cluster:
        admit(cluster)
        leaving = [await node.client(**ANN) for node in cluster.nodes.values()]
        staying = await cluster.nodes["n2"].client()
        cluster.decree.decide(**request_)
        for client in leaving:
            close = await client.expect(methods.ConnectionClose)
            assert (close.reply_code, close.reply_text) == (320, f"CONNECTION_FORCED - {why}")
            await client.ended()
        await staying.ask(1, methods.QueueDeclare(queue="q"), methods.QueueDeclareOk)
        assert len(await cluster.nodes["n1"].hall.roster.everywhere("connections")) == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "clear_permission", "user": "ann", "vhost": "v"},
        {"do": "put_user", "name": "ann", "password": "another"},
    ],
)
async def test_other_changes_of_a_user_end_no_connection(request_, autojump_clock):
    async with open_cluster() as cluster:
        admit(cluster)
        client = await cluster.nodes["n1"].client(**ANN)
        cluster.decree.decide(**request_)
        await client.ask(2, methods.ChannelOpen(), methods.ChannelOpenOk)


async def test_a_vhost_that_goes_away_under_a_verb_is_no_fault_of_ours(autojump_clock, caplog):
    async with open_cluster() as cluster:
        admit(cluster)
        client = await cluster.nodes["n1"].client(**ANN)
        client.connection.call(1, methods.QueueDeclare(queue="q"))
        await client.flush()
        cluster.decree.decide(do="delete_vhost", name="v")
        close = await client.expect(methods.ConnectionClose)
        assert close.reply_code == 320
        await client.ended()
        assert "internal_error" not in caplog.text
