"""What Prometheus is told: RabbitMQ's names, types and labels, figures that move, pages that keep nobody waiting."""

from pathlib import Path
from typing import ClassVar

import pytest
import trio
import trio.testing

from broker.management.app import REQUESTS_MAX
from broker.management.metrics import group, pages
from broker.meters.meters import AMQP
from broker.wire import basic_methods as basic
from broker.wire import methods
from broker.wire.properties import Properties
from tests.management import browser as visitor
from tests.management.browser import FakeFacts
from tests.management.scrape import ODD, Page, browser_of, busy, declared, open_shop
from tests.vhosts.halls import open_cluster
from tests.vhosts.room import open_hall

MUST = """identity_info build_info connections channels consumers queues global_publishers connections_opened_total
connections_closed_total channels_opened_total channels_closed_total queues_declared_total queues_created_total
queues_deleted_total queue_messages_ready queue_messages_unacked process_open_fds process_max_fds
process_open_tcp_sockets process_max_tcp_sockets process_resident_memory_bytes resident_memory_limit_bytes
disk_space_available_bytes global_messages_received_total global_messages_received_confirm_total
global_messages_confirmed_total global_messages_routed_total global_messages_unroutable_dropped_total
global_messages_unroutable_returned_total global_messages_delivered_consume_auto_ack_total
global_messages_delivered_consume_manual_ack_total global_messages_delivered_get_auto_ack_total
global_messages_delivered_get_manual_ack_total global_messages_get_empty_total global_messages_acknowledged_total
global_messages_redelivered_total global_messages_delivered_total global_consumers
global_messages_dead_lettered_expired_total global_messages_dead_lettered_rejected_total
global_messages_dead_lettered_maxlen_total global_messages_dead_lettered_delivery_limit_total
global_messages_dead_lettered_confirmed_total"""
"""Without `rabbitmq_`: what RabbitMQ's own dashboard draws."""

OURS = """rabbitmq_queue_mirrors rabbitmq_queue_synchronised_mirrors rabbitmq_queue_mirror_missing_messages
rabbitmq_queue_promotions_total rabbitmq_cluster_partitions warren_promotion_seconds_bucket
warren_promotion_missing_messages_total warren_confirm_latency_seconds_bucket warren_fsync_latency_seconds_bucket
warren_link_backlog_bytes warren_link_up warren_zab_epoch warren_zab_zxid warren_zab_transactions_total
warren_zab_leader"""

NOT_HERE = {
    "of Erlang": ["rabbitmq_erlang_", "rabbitmq_schema_db_", "reductions_total", "process_start_time_seconds"],
    "of a message store and an index that are not here": ["msg_store", "queue_index", "io_seek", "io_reopen"],
    "not counted": [
        "queue_consumer_capacity",
        "queue_consumer_utilisation",
        "queue_disk_",
        "_ram",
        "paged_out_bytes",
        "pending_packets",
        "auth_attempts_detailed",
    ],
}
HERE_ALL_THE_SAME = {
    "rabbitmq_erlang_net_ticktime_seconds",
    "rabbitmq_erlang_uptime_seconds",
    "rabbitmq_queue_messages_ram",
}
OTHER_LABELS = ["rabbitmq_build_info", "rabbitmq_channel_", "rabbitmq_connection_", "rabbitmq_queue_messages_published"]
"""We count by channel and by queue, not by pairs of them and exchanges; a connection is called one."""


async def test_what_dashboards_draw_is_there(autojump_clock):
    async with open_shop() as (house, page):
        await busy(house)
        found = await page()
        missing = [name for name in MUST.split() if f"rabbitmq_{name}" not in found.samples]
        assert missing == []


async def test_what_only_we_have(autojump_clock):
    async with open_cluster() as cluster:
        hall = cluster.nodes["n1"].hall
        found = Page(await browser_of(hall).ask("/metrics"))
        assert [name for name in OURS.split() if name not in found.samples] == []
        assert found.at("warren_link_up", peer="rabbit@n2", lane="data") == 1
        assert found["warren_zab_zxid"] == hall.tree.tree.zxid
        assert found["warren_zab_leader"] == 1


def rabbitmq_metrics():
    lines = Path(__file__).with_name("rabbitmq_metrics.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    absent = [part for parts in NOT_HERE.values() for part in parts]
    return [row for row in rows if row[0] in HERE_ALL_THE_SAME or not any(part in row[0] for part in absent)]


@pytest.mark.parametrize(("path", "column"), [("/metrics", 2), ("/metrics/per-object", 3)])
async def test_names_types_and_labels_are_those_of_rabbitmq(autojump_clock, path, column):
    async with open_shop() as (house, page):
        await busy(house)
        found = await page(path)
        for row in rabbitmq_metrics():
            name, kind = row[0], row[1]
            assert found.types[name.removesuffix("_total") if kind == "counter" else name] == kind, name
            if name in found.samples and not name.startswith(tuple(OTHER_LABELS)):
                wanted = () if row[column] == "-" else tuple(row[column].split(","))
                assert found.labels(name) == wanted, name
        assert len(rabbitmq_metrics()) > 80


async def test_figures_move(autojump_clock):
    async with open_shop() as (house, page):
        before = await page()
        client = await busy(house)
        after = await page()

        def grown(name, **labels):
            return after.at(f"rabbitmq_{name}", **labels) - before.at(f"rabbitmq_{name}", **labels)

        classic = {"protocol": AMQP, "queue_type": "rabbit_classic_queue"}
        assert grown("global_messages_received_total", protocol=AMQP) == 4
        assert grown("global_messages_received_confirm_total") == 4
        assert grown("global_messages_confirmed_total") == 4
        assert grown("global_messages_routed_total") == 4
        assert grown("global_messages_delivered_consume_manual_ack_total", **classic) == 4
        assert grown("global_messages_delivered_get_auto_ack_total", **classic) == 1
        assert grown("global_messages_delivered_total", **classic) == 5
        assert grown("global_messages_acknowledged_total", **classic) == 1
        at_most_once = {"queue_type": "rabbit_classic_queue", "dead_letter_strategy": "at_most_once"}
        assert grown("global_messages_dead_lettered_rejected_total", **at_most_once) == 1
        assert (grown("connections_opened_total"), grown("channels_opened_total")) == (1, 2)
        assert (grown("queues_declared_total"), grown("queues_created_total")) == (3, 3)
        assert grown("auth_attempts_succeeded_total", protocol=AMQP) == 1
        assert (after["rabbitmq_queues"], after["rabbitmq_connections"], after["rabbitmq_channels"]) == (3, 1, 2)
        assert (after["rabbitmq_queue_messages_ready"], after["rabbitmq_queue_messages_unacked"]) == (0, 2)
        assert (after["rabbitmq_queue_messages"], after["rabbitmq_queue_messages_unacked_bytes"]) == (2, 8)
        assert after["rabbitmq_channel_messages_unacked"] == 2
        assert grown("connection_incoming_bytes_total") > 100
        assert after.at("warren_confirm_latency_seconds_count", protocol=AMQP) == 4
        client.stream.close_now()
        await house.hall.roster.until_empty()
        gone = await page()
        assert gone["rabbitmq_connection_incoming_bytes_total"] >= after["rabbitmq_connection_incoming_bytes_total"]
        assert gone["rabbitmq_channel_messages_published_total"] == 4, "who has gone still counts"
        assert (gone["rabbitmq_channels"], gone["rabbitmq_connections_closed_total"]) == (0, 1)


async def test_unroutable_messages_are_seen(autojump_clock):
    async with open_shop() as (house, page):
        client = await house.client()
        client.connection.publish(1, "", "nowhere", b"x")
        client.connection.publish(1, "", "nowhere", b"x", mandatory=True)
        await client.content()
        found = await page()
        assert found["rabbitmq_global_messages_unroutable_dropped_total"] == 1
        assert found["rabbitmq_global_messages_unroutable_returned_total"] == 1


async def test_every_object_has_its_own_samples(autojump_clock):
    async with open_shop() as (house, page):
        await busy(house)
        found = await page("/metrics/per-object")
        q = {"vhost": "/", "queue": "q"}
        assert found.at("rabbitmq_queue_messages_unacked", **q) == 2
        assert found.at("rabbitmq_queue_messages_published_total", **q) == 4
        assert found.at("rabbitmq_queue_head_message_timestamp", **q) == 9
        assert found.at("rabbitmq_queue_messages_ready", queue=ODD) == 0
        (pid,) = {dict(key)["connection"] for key in found.samples["rabbitmq_connection_channels"]}
        assert found.at("rabbitmq_channel_messages_published_total", channel=f"{pid[:-2]}1>") == 4
        assert found.at("rabbitmq_channel_get_total", channel=f"{pid[:-2]}2>") == 1
        assert found.at("rabbitmq_connection_channels", connection=pid) == 2
        assert found["rabbitmq_connections"] == 1


async def test_a_setting_makes_every_page_one_of_all_objects():
    async with open_hall() as hall:
        facts = FakeFacts("n1")
        facts.per_object_metrics = True
        browser = browser_of(hall, facts)
        await hall.declarations.declare_plain("/", "q")
        page = Page(await browser.ask("/metrics"))
        assert page.labels("rabbitmq_queue_messages") == ("queue", "vhost")


async def test_details_are_what_was_asked_for(autojump_clock):
    async with open_shop() as (house, page):
        await house.hall.tree.propose({"do": "put_vhost", "name": "other"})
        await house.hall.declarations.declare_plain("/", "q")
        await house.hall.declarations.declare_plain("other", "q")
        always = {"rabbitmq_identity_info", "rabbitmq_build_info"}
        assert (await page("/metrics/detailed")).samples.keys() == always
        assert (await page("/metrics/detailed?family=none&family=")).samples.keys() == always
        found = await page("/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count")
        assert found.samples.keys() - always == {
            "rabbitmq_detailed_queue_messages",
            "rabbitmq_detailed_queue_messages_ready",
            "rabbitmq_detailed_queue_messages_unacked",
            "rabbitmq_detailed_queue_consumers",
        }
        assert len(found.samples["rabbitmq_detailed_queue_messages"]) == 2
        found = await page("/metrics/detailed?vhost=other&family=queue_coarse_metrics&vhost=third&family=vhost_status")
        assert found.labels("rabbitmq_detailed_queue_messages") == ("queue", "vhost")
        assert [dict(key)["vhost"] for key in found.samples["rabbitmq_detailed_queue_messages"]] == ["other"]
        assert found.samples["rabbitmq_cluster_vhost_status"] == {(("vhost", "other"),): 1}


async def test_the_whole_cluster_is_told_of_where_it_was_asked_for(autojump_clock):
    async with open_shop() as (house, page):
        client = await house.client()
        await declared(client, "q")
        await client.ask(1, methods.QueueBind(queue="q", exchange="amq.fanout"), methods.QueueBindOk)
        found = await page("/metrics/detailed?family=exchange_bindings&family=exchange_names")
        fanout = {"vhost": "/", "exchange": "amq.fanout", "type": "fanout"}
        assert found.at("rabbitmq_cluster_exchange_bindings", **fanout) == 1
        assert found.at("rabbitmq_cluster_exchange_bindings", exchange="amq.direct") == 0
        assert found.at("rabbitmq_cluster_exchange_name", **fanout) == 1


async def test_mirrors_and_what_they_lack(autojump_clock):
    async with open_cluster(3) as cluster:
        hall = cluster.nodes["n1"].hall
        browser = browser_of(hall)
        client = await cluster.nodes["n1"].client()
        await client.ask(1, methods.QueueDeclare(queue="q", durable=True), methods.QueueDeclareOk)
        await client.ask(1, basic.ConfirmSelect(), basic.ConfirmSelectOk)
        for _ in range(5):
            client.connection.publish(1, "", "q", b"x", Properties(delivery_mode=2))
        await client.confirmed(5)
        found = Page(await browser.ask("/metrics"))
        assert found["rabbitmq_queue_mirrors"] == 0
        assert found.at("rabbitmq_queue_mirror_missing_messages", mirror="rabbit@n2") == 0
        cluster.mirror()  # by hand: what is old is not sent
        followers = hall.guests.locals[cluster.queue("q").id].master.witnesses.followers
        await cluster.until(lambda: all(follower.stated for follower in followers.values()))
        found = Page(await browser.ask("/metrics"))
        assert (found["rabbitmq_queue_mirrors"], found["rabbitmq_queue_synchronised_mirrors"]) == (2, 0)
        for mirror in "rabbit@n2", "rabbit@n3":
            assert found.at("rabbitmq_queue_mirror_missing_messages", mirror=mirror) == 5
        each = Page(await browser.ask("/metrics/per-object"))
        assert each.at("rabbitmq_queue_mirror_missing_messages", queue="q", mirror="rabbit@n3") == 5
        cluster.mirror(**{"ha-sync-mode": "automatic"})
        await cluster.until_in_sync("q", "n1", "n2", "n3")
        await cluster.until(lambda: not hall.followers.concerned())
        found = Page(await browser.ask("/metrics"))
        assert (found["rabbitmq_queue_mirrors"], found["rabbitmq_queue_synchronised_mirrors"]) == (2, 2)
        assert found.at("rabbitmq_queue_mirror_missing_messages") == 0


async def test_partitions_and_alarms(autojump_clock):
    async with open_hall() as hall:
        facts = FakeFacts("n1")
        browser = browser_of(hall, facts)
        assert Page(await browser.ask("/metrics"))["rabbitmq_cluster_partitions"] == 0
        facts.parted_from = ["n2"]
        hall.alarms.look = lambda: ["disk"]
        found = Page(await browser.ask("/metrics"))
        assert found["rabbitmq_cluster_partitions"] == 1
        assert found["rabbitmq_alarms_free_disk_space_watermark"] == 1
        assert found["rabbitmq_alarms_memory_used_watermark"] == 0


async def test_promotions(autojump_clock):
    async with open_hall() as hall:
        hall.meters.promotions.promoted("kill", 0.3, 2)
        hall.meters.promotions.promoted("kill", 7.0, 0)
        found = Page(await browser_of(hall).ask("/metrics"))
        assert found.at("rabbitmq_queue_promotions_total", cause="kill") == 2
        assert found.at("rabbitmq_queue_promotions_total", cause="operator") == 0
        assert found.at("warren_promotion_seconds_bucket", le="0.25") == 0
        assert found.at("warren_promotion_seconds_bucket", le="0.5") == 1
        assert found.at("warren_promotion_seconds_bucket", le="+Inf") == found["warren_promotion_seconds_count"] == 2
        assert found["warren_promotion_seconds_sum"] == pytest.approx(7.3)
        assert found["warren_promotion_missing_messages_total"] == 2


async def test_anybody_may_look_but_only_look(autojump_clock):
    async with open_hall() as hall:
        browser = browser_of(hall)
        answer = await browser.ask("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert (await browser.ask("/metrics", "POST")).status == 405
        assert (await browser.ask("/metrics/other")).status == 404


class Counts:
    """Counters that say when they were read."""

    deaths: ClassVar = {}

    def __init__(self, counters, reads):
        self._counters = counters
        self._reads = reads

    def values(self):
        self._reads.append(self)
        return self._counters.values()

    def as_dict(self):
        self._reads.append(self)
        return self._counters.as_dict()


async def test_the_page_of_a_node_with_many_queues_is_not_made_of_them(autojump_clock):
    async with open_hall() as hall:
        browser, reads = browser_of(hall), []
        for number in range(120):
            await hall.declarations.declare_plain("/", f"q{number}")
        await trio.sleep(1)
        first = Page(await browser.ask("/metrics"))
        assert first["rabbitmq_queues"] == 120
        for local in hall.guests.locals.values():
            local.queue.counters = Counts(local.queue.counters, reads)
        again = await browser.ask("/metrics")
        assert reads == [], "no queue was looked at"
        assert abs(len(Page(again).samples) - len(first.samples)) == 0
        await browser.ask("/metrics/per-object")
        assert len(reads) == 120, "each queue once, for all of its metrics"


async def test_a_long_page_leaves_others_their_turns(monkeypatch):
    turns, checkpoint = [], trio.lowlevel.checkpoint

    async def counted():
        turns.append(None)
        await checkpoint()

    async with open_hall() as hall:
        browser = browser_of(hall)

        async def turns_left():
            await browser.ask("/metrics")  # what has changed is counted by now
            turns.clear()
            await browser.ask("/metrics/detailed?family=queue_coarse_metrics")
            return len(turns)

        monkeypatch.setattr(trio.lowlevel, "checkpoint", counted)
        await hall.declarations.declare_plain("/", "one")
        few = await turns_left()
        for number in range(4 * group.QUEUES_PER_TURN):
            await hall.declarations.declare_plain("/", f"q{number}")
        hall.switchboard.end_turn()
        assert await turns_left() >= few + 4, "one for each hundred queues"


async def test_the_page_of_the_node_does_not_wait_for_a_large_one(autojump_clock):
    async with open_hall() as hall, trio.open_nursery() as nursery:
        browser = browser_of(hall)
        async with pages._LARGE:
            with trio.fail_after(1):
                assert (await browser.ask("/metrics")).status == 200
            nursery.start_soon(browser.ask, "/metrics/per-object")
            await trio.testing.wait_all_tasks_blocked()
            assert pages._LARGE.statistics().tasks_waiting == 1


async def test_large_pages_for_strangers_do_not_keep_others_from_looking(autojump_clock):
    async with open_hall() as hall, trio.open_nursery() as nursery:
        browser = browser_of(hall)
        async with pages._LARGE:
            for _ in range(2 * REQUESTS_MAX):
                nursery.start_soon(browser.ask, "/metrics/per-object")
            await trio.testing.wait_all_tasks_blocked()
            browser.authorization = visitor.basic("guest", "guest")
            with trio.fail_after(1):
                assert await browser.json("queues") == []


async def test_epoch_and_transactions_are_told_apart():
    async with open_hall() as hall:
        hall.tree.tree.zxid = (3 << 32) + 5
        found = Page(await browser_of(hall).ask("/metrics"))
        assert (found["warren_zab_zxid"], found["warren_zab_transactions_total"]) == ((3 << 32) + 5, 5)
