"""The supervisor with nodes that are small shell scripts: what it says about deaths, and when it starts one again."""

import os
import signal

import pytest
import trio

from broker.cli.processes import LOG_BYTES_MAX, NodeProcess
from broker.cli.run_file import RunFile, hold_lock, is_node, supervisor_lives
from broker.cli.supervisor import Supervisor
from broker.node.configuration import load

READY = "echo ready amqp=127.0.0.1:1; exec sleep 60"


@pytest.fixture
def cluster(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("nodes: [a, b, c]")
    (tmp_path / "data").mkdir()
    return load(path)


class Stage:
    def __init__(self, cluster, nursery, scripts, **options):
        self.said = []
        self._fresh = trio.Event()
        self._scripts = scripts
        self._nursery = nursery
        self.supervisor = Supervisor(cluster, self._command, self._say, local=cluster.names, **options)

    def _say(self, line):
        self.said.append(line)
        self._fresh.set()
        self._fresh = trio.Event()

    def _command(self, name):
        return ["sh", "-c", self._scripts.get(name, READY)]

    async def __aenter__(self):
        await self._nursery.start(self.supervisor.run)
        return self

    async def __aexit__(self, *_):
        self.supervisor.done.set()
        for process in self.supervisor.processes.values():
            await process.ended.wait()

    async def until_said(self, beginning):
        with trio.fail_after(5):
            while not any(line.startswith(beginning) for line in self.said):
                await self._fresh.wait()

    async def until_ready(self):
        with trio.fail_after(5):
            for process in self.supervisor.processes.values():
                await process.ready.wait()


async def test_ready_lines_bring_the_addresses(cluster, nursery):
    async with Stage(cluster, nursery, {}) as stage:
        await stage.until_ready()
        assert stage.supervisor.processes["a"].describe()["amqp"] == "127.0.0.1:1"
        assert (await stage.supervisor.obey({"do": "processes"}))["nodes"]["b"]["state"] == "running"
        assert RunFile.read(cluster.run_folder).nodes["c"].pid == stage.supervisor.processes["c"].pid


async def test_a_death_is_told_with_its_signal_and_what_it_means(cluster, nursery):
    async with Stage(cluster, nursery, {}) as stage:
        await stage.until_ready()
        os.kill(stage.supervisor.processes["a"].pid, signal.SIGKILL)
        await stage.until_said("a was killed (signal 9); b and c have a majority")
        os.kill(stage.supervisor.processes["b"].pid, signal.SIGTERM)
        await stage.until_said("b was killed (signal 15); no majority is left: 1 of 3 run, 1 more is needed ")
        assert stage.supervisor.ended_by_itself


async def test_a_commanded_death_is_no_accident(cluster, nursery):
    async with Stage(cluster, nursery, {}, restart=True) as stage:
        await stage.until_ready()
        answer = await stage.supervisor.obey({"do": "kill", "node": "a"})
        assert answer["majority"] == "b and c have a majority"
        assert not stage.supervisor.ended_by_itself
        assert not stage.supervisor.processes["a"].is_alive()


async def test_with_restart_a_node_that_died_is_started_again(cluster, nursery):
    async with Stage(cluster, nursery, {}, restart=True) as stage:
        await stage.until_ready()
        first = stage.supervisor.processes["a"].pid
        os.kill(first, signal.SIGKILL)
        await stage.until_said("a is started again")
        await stage.until_ready()
        assert stage.supervisor.processes["a"].pid not in (first, None)


async def test_when_every_node_has_ended_the_supervisor_does_too(cluster, nursery):
    async with Stage(cluster, nursery, dict.fromkeys("abc", "exit 1")) as stage:
        await stage.until_said("every node has ended")
        assert stage.supervisor.done.is_set()


async def test_start_fails_with_the_last_words_of_the_node(cluster, nursery):
    scripts = {}
    async with Stage(cluster, nursery, scripts) as stage:
        await stage.until_ready()
        await stage.supervisor.obey({"do": "kill", "node": "a"})
        stage.supervisor.processes["a"].command = ["sh", "-c", "echo first; echo no such disk; exit 4"]
        assert await stage.supervisor.obey({"do": "start", "node": "a"}) == {
            "error": "a ended with code 4: no such disk"
        }


async def test_a_lonely_node_is_started_without_waiting_for_what_cannot_come(cluster, nursery, monkeypatch):
    monkeypatch.setattr("broker.cli.supervisor.LONELY_START_GRACE_S", 0.05)
    async with Stage(cluster, nursery, {}) as stage:
        await stage.until_ready()
        for name in "abc":
            await stage.supervisor.obey({"do": "kill", "node": name})
        stage.supervisor.processes["a"].command = ["sleep", "60"]
        answer = await stage.supervisor.obey({"do": "start", "node": "a"})
        assert answer["majority"].startswith("no majority is left: 1 of 3 run, 1 more is needed ")


async def test_a_program_that_is_not_there(cluster, nursery):
    async with Stage(cluster, nursery, {}) as stage:
        await stage.until_ready()
        await stage.supervisor.obey({"do": "stop", "node": "a"})
        stage.supervisor.processes["a"].command = ["/nowhere/python"]
        answer = await stage.supervisor.obey({"do": "start", "node": "a"})
        assert answer == {"error": "a cannot be started: No such file or directory"}


async def test_blocks_are_handed_to_nodes_that_start_later(cluster, nursery):
    async with Stage(cluster, nursery, {}) as stage:
        await stage.until_ready()
        await stage.supervisor.obey({"do": "block", "blocks": {"a": {"b": "both"}}})
        await stage.supervisor.obey({"do": "block", "blocks": {"a": {"c": "out"}}})
        stage.supervisor.processes["a"].command = ["sh", "-c", 'echo "$@"; ' + READY, "sh"]
        await stage.supervisor.obey({"do": "restart", "node": "a"})
        assert "--block b:both --block c:out" in stage.supervisor.processes["a"].log_path.read_text()


async def test_what_it_does_not_know(cluster, nursery):
    async with Stage(cluster, nursery, {}) as stage:
        assert "does not know the command 'dance'" in (await stage.supervisor.obey({"do": "dance"}))["error"]
        assert (await stage.supervisor.obey({"do": "kill", "node": "x"}))["error"] == (
            "there is no node x on this machine: a, b, c"
        )


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"do": "kill"}, "kill: node is missing"),
        ({"do": "kill", "node": []}, "kill: node is [], not of type str"),
        ({"do": "block"}, "block: blocks is missing"),
        ({"do": "block", "blocks": {"a": "b"}}, "a is 'b', not of type dict"),
        ({"do": "block", "blocks": {"a": {"b": "up"}}}, "b:up does not name a node and one of both, in, out"),
        ({"do": "block", "blocks": {"a": {"a": "in"}}}, "a:in does not name a node and one of both, in, out"),
    ],
)
async def test_malformed_commands_are_refused(cluster, asked, error):
    supervisor = Supervisor(cluster, lambda name: [name], print, local=cluster.names)
    assert await supervisor.obey(asked) == {"error": error}


def test_a_log_is_kept_within_its_limit(cluster):
    process = NodeProcess(cluster.node("a"), cluster.run_folder / "a", [])
    process.log_path.parent.mkdir()
    process.log_path.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    process.shorten_log()
    assert process.log_path.stat().st_size == 0
    assert process.log_path.with_name("log.1").stat().st_size == LOG_BYTES_MAX + 1


def test_the_lock_says_whether_a_supervisor_lives(tmp_path):
    assert not supervisor_lives(tmp_path)
    lock = hold_lock(tmp_path)
    assert supervisor_lives(tmp_path)
    assert hold_lock(tmp_path) is None
    os.close(lock)
    assert not supervisor_lives(tmp_path)


def test_a_stranger_with_the_number_of_a_node_is_not_a_node():
    assert not is_node(os.getpid(), "n1")


async def test_nodes_that_know_an_older_file_are_named_until_they_are_restarted(cluster, nursery, tmp_path):
    async with Stage(cluster, nursery, {}) as stage:
        await stage.until_ready()
        file = tmp_path / "new.yaml"
        file.write_text("nodes: [a, {name: b, settings: {heartbeat: 7}}, c]")
        asked = {"do": "adopt", "cluster": load(file).as_json()}
        assert (await stage.supervisor.obey(asked))["outdated"] == ["b"]
        assert (await stage.supervisor.obey(asked))["outdated"] == ["b"], "still"
        await stage.supervisor.obey({"do": "restart", "node": "b"})
        assert (await stage.supervisor.obey(asked))["outdated"] == []
        file.write_text("cluster: {partition_handling: ignore}\nnodes: [a, {name: b, settings: {heartbeat: 7}}, c]")
        asked = {"do": "adopt", "cluster": load(file).as_json()}
        assert (await stage.supervisor.obey(asked))["outdated"] == ["a", "b", "c"]
