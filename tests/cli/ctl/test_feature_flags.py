"""Feature flags: those whose feature is there are on; others are refused, in RabbitMQ's words."""

import pytest

from tests.cli.ctl.fake_members import FakeMembers
from tests.cli.ctl.fake_node import FakeNode


@pytest.fixture
def node(monkeypatch, capsys):
    FakeMembers(monkeypatch, "n1")
    return FakeNode(monkeypatch, capsys)


def test_all_that_are_there_are_enabled(node):
    lines = node.ctl("list_feature_flags").out.splitlines()
    assert lines[:2] == ["Listing feature flags ...", "name\tstate"]
    assert "quorum_queue\tenabled" in lines
    assert not any(line.startswith("stream_queue") for line in lines)
    assert (
        node.ctl("list_feature_flags", "-s", "name", "stability").out.splitlines()[-1]
        == "virtual_host_metadata\tstable"
    )


def test_enabling_is_a_question_whether_it_is_there(node):
    assert node.ctl("enable_feature_flag", "quorum_queue") == (0, 'Enabling feature flag "quorum_queue" ...\n', "")
    assert node.ctl("enable_feature_flag", "all").out == "Enabling all feature flags ...\n"
    done = node.ctl("enable_feature_flag", "stream_queue")
    assert (done.code, done.err) == (64, "Error:\nThis feature flag is not supported by node rabbit@n1\n")
    assert node.ctl("enable_feature_flag", "").code == 65
