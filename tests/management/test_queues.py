"""What is said of a queue beyond its counters."""

import pytest

from broker.cluster.records import Life, Owner, QueueRecord
from broker.management import depths
from broker.management.depths import Sounding
from broker.management.queues import COUNTS, described
from broker.queues.queue import Queue
from broker.queues.settings import Settings
from broker.wire.content import assemble
from broker.wire.message import Run, make_address
from broker.wire.properties import Properties, traits_of_properties

HERE, THERE, THIRD = Life("n1", 4), Life("n2", 5), Life("n3", 6)


def record(**fields):
    return QueueRecord(7, "/", "q", HERE, 7, **fields)


def figures(**more):
    counted = dict.fromkeys([*COUNTS.values(), "published", "acked", "redelivered", "delivered"], 0)
    counted |= dict.fromkeys(["delivered_no_ack", "got", "got_no_ack", "persistent", "persistent_bytes"], 0)
    counted |= {"next_position": 1, "resident_bytes": 0}
    return {**counted, "head_timestamp": None, "exclusive_consumer": None, "active_consumer": None, **more}


def run(count, **properties):
    encoded = Properties(**properties).encode()
    contents = [assemble(1, encoded, b"12345", 4096)] * count
    return Run(contents, make_address("", "q"), traits_of_properties(encoded))


def mirrored(**definition):
    return record(mirrors=(THERE, THIRD), in_sync=(HERE, THERE), definition={"ha-mode": "all", **definition})


@pytest.mark.parametrize(
    ("definition", "filling", "missing", "state", "synchronised"),
    [
        ({}, False, {"n2": 0, "n3": 4}, "running", None),
        ({}, True, {"n2": 0, "n3": 4}, "syncing", 6),
        ({"ha-sync-mode": "automatic"}, False, {"n3": 10}, "running", None),
        ({"ha-sync-mode": "automatic"}, True, {"n3": 10}, "syncing", 0),
        ({"ha-sync-mode": "automatic"}, True, {"n3": 0}, "running", None),
    ],
)
def test_a_queue_whose_mirrors_are_filled_is_syncing(definition, filling, missing, state, synchronised):
    row = described(mirrored(**definition), figures(messages=10, missing=missing, filling=filling))
    assert (row["state"], row.get("sync_messages")) == (state, synchronised)
    assert row["slave_nodes"] == ["rabbit@n2", "rabbit@n3"]
    assert row["unsynchronised"] == {"rabbit@n3": missing["n3"]}
    assert row["synchronised_slave_pids"] == ["<n2.5.7.0>"]


def test_a_paused_queue_says_so_before_anything_else():
    row = described(mirrored()._replace(paused=True), figures(messages=10, missing={"n2": 0, "n3": 4}, filling=True))
    assert (row["state"], row["sync_messages"]) == ("paused", 6)
    assert described(record(paused=True), None)["state"] == "down"


def test_a_quorum_queue_has_members_and_no_slaves():
    quorum = record(arguments={"x-queue-type": "quorum"}, mirrors=(THIRD,), candidates=("n2", "n3"), durable=True)
    row = described(quorum, figures(missing={}, filling=False))
    assert (row["type"], row["leader"]) == ("quorum", "rabbit@n1")
    assert row["members"] == ["rabbit@n1", "rabbit@n3", "rabbit@n2"]
    assert row["online"] == ["rabbit@n1", "rabbit@n3"]
    assert "slave_nodes" not in row


@pytest.mark.parametrize("fields", [{"arguments": {"x-queue-mode": "lazy"}}, {"definition": {"queue-mode": "lazy"}}])
def test_lazy_queues_say_so(fields):
    lazy = described(record(**fields), figures(next_position=7, messages_ready=2))["backing_queue_status"]
    assert lazy == {"mode": "lazy", "len": 2, "next_seq_id": 7}
    assert described(record(), figures())["backing_queue_status"]["mode"] == "default"


def test_what_is_not_in_memory_is_not_said_to_be_there():
    row = described(record(), figures(messages=5, messages_paged_out=2))
    assert (row["messages_ram"], row["messages_paged_out"]) == (3, 2)
    assert "message_bytes_ram" not in row
    assert described(record(), figures(message_bytes=7))["message_bytes_ram"] == 7


def test_arguments_are_shown_without_the_types_that_json_lacks():
    arguments = {"t": {"$": "Timestamp", "value": 5}, "b": {"$": "bytes", "value": "YQ=="}, "d": {"x": [1, None]}}
    row = described(record(arguments=arguments), None)
    assert row["arguments"] == {"t": 5, "b": "a", "d": {"x": [1, None]}}
    assert row["state"] == "down"


def test_the_owner_of_an_exclusive_queue():
    owner = Owner("n2", 5, "[::1]:50000 -> [::1]:5672 (17)")
    row = described(record(exclusive=owner), None)
    assert row["owner_pid"] == "<n2.5.17.0>"
    assert row["owner_pid_details"]["peer_port"] == 50000
    assert row["exclusive"] is True


def test_persistent_messages_are_counted_ready_or_not():
    queue = Queue(Settings(), logged=False)
    queue.publish(run(3, delivery_mode=2), 0)
    queue.publish(run(2), 0)
    queue.get("somebody", ack_required=True)
    found = Sounding().take(queue, durable=True)
    assert (found["persistent"], found["persistent_bytes"]) == (3, 15)
    assert Sounding().take(queue, durable=False)["persistent"] == 0


def test_the_timestamp_is_that_of_the_next_message():
    queue = Queue(Settings(), logged=False)
    assert Sounding().take(queue, durable=True)["head_timestamp"] is None
    queue.publish(run(1, timestamp=5), 0)
    queue.publish(run(1, timestamp=6), 0)
    for expected in (5, 6, 5):  # nothing is ready in the end, and the first that was given out counts
        assert Sounding().take(queue, durable=True)["head_timestamp"] == expected
        queue.get("somebody", ack_required=True)


def test_what_is_not_in_memory_is_counted_but_has_no_timestamp():
    queue = Queue(Settings(), logged=False)
    for _ in range(3):
        queue.publish(run(1, delivery_mode=2, timestamp=5), 0)
        queue.publish(run(2), 0)
    assert len(queue.page_out(1)) == 6
    found = Sounding().take(queue, durable=True)
    assert (found["persistent"], found["persistent_bytes"], found["head_timestamp"]) == (3, 15, None)


def test_one_look_at_many_small_pieces_ends(monkeypatch):
    monkeypatch.setattr(depths, "RUNS_MAX", 3)
    small, large = Queue(Settings(), logged=False), Queue(Settings(), logged=False)
    for number in range(4):
        large.publish(run(1, message_id=str(number)), 0)
    small.publish(run(2), 0)
    sounding = Sounding()
    assert sounding.take(small, durable=True)["persistent"] == 0
    assert sounding.take(large, durable=True)["persistent"] is None
    assert sounding.take(small, durable=True)["persistent"] is None
