"""purge_queue, delete_queue, sync_queue, cancel_sync_queue: words and codes as rabbitmqctl 3.10.8 has them."""

import pytest

from broker.cli.ctl import queues
from tests.cli.ctl.fake_node import FakeNode


@pytest.fixture
def node(monkeypatch, capsys):
    return FakeNode(monkeypatch, capsys)


def refused(code):
    return {"error": "as the node words it", "code": code}


def test_purge(node):
    node.answers["purge_queue"] = {"messages": 3}
    assert node.ctl("purge_queue", "-p", "v", "q") == (0, "Purging queue 'q' in vhost 'v' ...\n", "")
    assert node.asked == [{"do": "purge_queue", "vhost": "v", "queue": "q"}]


@pytest.mark.parametrize(
    ("command", "do", "banner"),
    [
        ("purge_queue", "purge_queue", "Purging queue 'q' in vhost '/' ...\n"),
        ("sync_queue", "sync", "Synchronising queue 'q' in vhost '/' ...\n"),
        ("cancel_sync_queue", "cancel_sync", "Stopping synchronising queue 'q' in vhost '/' ...\n"),
    ],
)
def test_queues_that_there_are_not(node, command, do, banner):
    node.answers[do] = refused("not_found")
    assert node.ctl(command, "q") == (69, banner, "Error:\nnot_found\n")


@pytest.mark.parametrize(
    ("options", "conditions", "only"),
    [
        ([], (False, False), ""),
        (["-e"], (True, False), "if queue is empty "),
        (["--if-unused"], (False, True), "if queue is unused "),
        (["-u", "--if-empty"], (True, True), "if queue is empty and if queue is unused "),
    ],
)
def test_delete(node, options, conditions, only):
    node.answers["delete_queue"] = {"messages": 3}
    done = node.ctl("delete_queue", "q", *options)
    assert done.out == (
        f"Deleting queue 'q' on vhost '/' {only}...\nQueue was successfully deleted with 3 ready messages\n"
    )
    (request,) = node.asked
    assert (request["if_empty"], request["if_unused"]) == conditions


@pytest.mark.parametrize(
    ("code", "text"),
    [("not_found", "Queue not found"), ("in_use", "Queue is in use"), ("not_empty", "Queue is not empty")],
)
def test_queues_that_are_not_deleted(node, code, text):
    node.answers["delete_queue"] = refused(code)
    assert node.ctl("delete_queue", "-q", "q") == (64, "", f"Error:\n{text}\n")


def test_a_queue_without_a_name(node):
    done = node.ctl("delete_queue", "")
    assert done.code == 64
    assert done.err.startswith("Error (argument validation): queue name cannot be empty string.")


def test_sync_returns_when_the_mirrors_have_everything(node, monkeypatch):
    waited = []
    monkeypatch.setattr(queues, "sleep", waited.append)
    node.answers = {"sync": {"state": "syncing"}, "sync_state": [{"state": "syncing"}, {"state": "synchronised"}]}
    assert node.ctl("sync_queue", "q") == (0, "Synchronising queue 'q' in vhost '/' ...\n", "")
    assert [request["do"] for request in node.asked] == ["sync", "sync_state", "sync_state"]
    assert len(waited) == 2


def test_sync_of_a_queue_without_mirrors(node):
    node.answers["sync"] = refused("not_mirrored")
    assert node.ctl("sync_queue", "-q", "q") == (69, "", "Error:\nnot_mirrored\n")


@pytest.mark.parametrize(("command", "do"), [("sync_queue", "sync"), ("cancel_sync_queue", "cancel_sync")])
def test_sync_of_a_quorum_queue(node, command, do):
    node.answers[do] = refused("quorum_queue")
    assert node.ctl(command, "-q", "q") == (69, "", "Error:\nquorum_queue_not_supported\n")


def test_cancelled_synchronisations(node):
    node.answers["cancel_sync"] = {"state": "cancelled"}
    assert node.ctl("cancel_sync_queue", "-q", "q") == (0, "", "")
    node.answers["cancel_sync"] = {"state": "not_syncing"}
    assert node.ctl("cancel_sync_queue", "-q", "q") == (0, "not_syncing\n", "")


def test_programs_get_an_object(node):
    node.answers = {"purge_queue": {"messages": 3}, "delete_queue": {"messages": 0}}
    assert node.ctl("purge_queue", "q", "--formatter", "json").out == '{"node":"rabbit@n1","result":"ok"}\n'
    text = "Queue was successfully deleted with 0 ready messages"
    assert node.ctl("delete_queue", "q", "--formatter", "json").out == f'{{"message":"{text}"}}\n'
