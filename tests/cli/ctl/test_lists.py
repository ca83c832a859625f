"""The lists of `warren ctl`: what is printed was compared with what rabbitmqctl 3.10.8 prints of the same objects."""

import json

import pytest

from tests.cli.ctl.fake_node import FakeNode

QUEUES = [
    {
        "name": "dq",
        "vhost": "v",
        "node": "rabbit@n1",
        "state": "running",
        "durable": True,
        "arguments": {"x-max-length": 10, "x-dead-letter-exchange": "dlx", "x-single-active-consumer": True},
        "messages": 3,
        "policy": None,
        "slave_pids": ["<n2.1.7.0>", "<n3.1.7.0>"],
        "effective_policy_definition": {"ha-mode": "all"},
    },
    {"name": "gone", "vhost": "v", "node": "rabbit@n2", "state": "down", "durable": True, "arguments": {}},
]
BINDINGS = [
    {
        "source": "e1",
        "vhost": "v",
        "destination": "dq",
        "destination_type": "queue",
        "routing_key": "a.b",
        "arguments": {"x": 1, "n": -3000000000, "l": [1, "a", True, None, {"k": "v"}]},
        "properties_key": "a.b~1",
    }
]
CONNECTIONS = [
    {
        "pid": "<n1.1.5.0>",
        "user": "guest",
        "peer_host": "127.0.0.1",
        "peer_port": 34908,
        "state": "running",
        "protocol": "AMQP 0-9-1",
        "ssl": False,
        "ssl_cipher": None,
        "client_properties": {"product": "Pika", "capabilities": {"basic.nack": True}},
    }
]


@pytest.fixture
def node(monkeypatch, capsys):
    node = FakeNode(monkeypatch, capsys)
    node.rows = {"queues": QUEUES, "bindings": BINDINGS, "connections": CONNECTIONS}
    return node


def test_queues_by_default(node):
    done = node.ctl("list_queues", "-p", "v")
    assert done == (0, "Timeout: 60.0 seconds ...\nListing queues for vhost v ...\nname\tmessages\ndq\t3\ngone\t\n", "")
    fields = ["messages", "name", "node", "state", "sync_messages"]
    assert node.asked == [{"do": "facts", "kind": "queues", "fields": fields, "vhost": "v"}]


@pytest.mark.parametrize(("options", "head"), [(["-q"], "name\tmessages\n"), (["-s"], ""), (["-t", "5"], None)])
def test_how_much_is_said_around_a_list(node, options, head):
    out = node.ctl("list_queues", *options).out
    if head is None:
        assert out.startswith("Timeout: 5.0 seconds ...\n")
    else:
        assert out == f"{head}dq\t3\ngone\t\n"


def test_a_queue_whose_mirrors_are_filled_shows_how_far_that_is(node):
    node.rows["queues"] = [{**QUEUES[0], "state": "syncing", "sync_messages": 7}]
    assert node.ctl("list_queues", "-s", "name", "state").out == "dq\t{syncing,7}\n"
    assert '"state":"syncing"' in node.ctl("list_queues", "-s", "state", "--formatter", "json").out


def test_values_are_printed_as_erlang_terms(node):
    wanted = ("arguments", "policy", "slave_pids,durable", "effective_policy_definition", "name", "name")
    out = node.ctl("list_queues", "-q", *wanted).out
    header, queue, _ = out.splitlines()
    assert header.split("\t") == ["arguments", "policy", "slave_pids", "durable", "effective_policy_definition", "name"]
    assert queue.split("\t") == [
        '[{"x-max-length",10},{"x-dead-letter-exchange","dlx"},{"x-single-active-consumer",true}]',
        "",
        "[<n2.1.7.0>, <n3.1.7.0>]",
        "true",
        '[{"ha-mode","all"}]',
        "dq",
    ]


def test_programs_get_arguments_with_their_types(node):
    rows = json.loads(node.ctl("list_queues", "--formatter", "json", "name", "arguments", "messages", "memory").out)
    assert rows[0] == {
        "name": "dq",
        "arguments": [
            ["x-max-length", "signedint", 10],
            ["x-dead-letter-exchange", "longstr", "dlx"],
            ["x-single-active-consumer", "bool", True],
        ],
        "messages": 3,
        "memory": "",
    }
    assert rows[1]["messages"] == ""


def test_newer_names_of_mirrors_are_known(node):
    assert node.ctl("list_queues", "-s", "mirror_pids").out.splitlines()[0] == "[<n2.1.7.0>, <n3.1.7.0>]"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["dq", "gone"]),
        (["--online"], ["dq"]),
        (["--offline"], ["gone"]),
        (["--online", "--offline"], ["dq", "gone"]),
        (["--local"], ["dq"]),
        (["--local", "--offline"], ["dq"]),
        (["--local", "-n", "n2"], []),
        (["--local", "-n", "rabbit@n1"], ["dq"]),
    ],
)
def test_which_queues_are_meant(node, options, names):
    assert node.ctl("list_queues", "-s", "name", *options).out.splitlines() == names


@pytest.mark.parametrize(
    "command",
    ["list_queues", "list_exchanges", "list_bindings", "list_connections", "list_channels", "list_consumers"],
)
def test_columns_that_there_are_not(node, command):
    done = node.ctl(command, "bogus", "other")
    assert done.code == 64
    assert done.out == ""
    assert done.err.startswith(
        "Error (argument validation): Info key(s) bogus,other are not supported\n"
        f"Arguments given:\n\t{command} bogus other\n\nUsage\n\n"
    )
    assert node.asked == []


@pytest.mark.parametrize(
    ("command", "banner"),
    [
        ("list_queues", "Timeout: 60.0 seconds ...\nListing queues for vhost nope ...\n"),
        ("list_exchanges", "Listing exchanges for vhost nope ...\n"),
        ("list_bindings", "Listing bindings for vhost nope...\n"),
        ("list_consumers", "Listing consumers in vhost nope ...\n"),
        ("list_unresponsive_queues", "Listing unresponsive queues for vhost nope ...\n"),
    ],
)
def test_nothing_is_in_a_vhost_that_there_is_not(node, command, banner):
    assert node.ctl(command, "-p", "nope") == (0, banner, "")


def test_bindings(node):
    assert node.ctl("list_bindings", "-q", "-p", "v").out == (
        "source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n"
        'e1\texchange\tdq\tqueue\ta.b\t[{"x",1},{"n",-3000000000},{"l",[1,"a",true,undefined,[{"k","v"}]]}]\n'
    )
    (row,) = json.loads(node.ctl("list_bindings", "--formatter", "json", "arguments").out)
    array = [["signedint", 1], ["longstr", "a"], ["bool", True], ["void", "undefined"]]
    assert row["arguments"] == [
        ["x", "signedint", 1],
        ["n", "long", -3000000000],
        ["l", "array", [*array, ["table", [["k", "longstr", "v"]]]]],
    ]


def test_connections(node):
    assert node.ctl("list_connections") == (
        0,
        "Listing connections ...\nuser\tpeer_host\tpeer_port\tstate\nguest\t127.0.0.1\t34908\trunning\n",
        "",
    )
    fields = ["peer_host", "peer_port", "state", "user"]
    assert node.asked == [{"do": "facts", "kind": "connections", "fields": fields}]
    wanted = ("pid", "protocol", "ssl", "ssl_cipher", "client_properties")
    assert node.ctl("list_connections", "-s", *wanted).out == (
        '<n1.1.5.0>\t{0,9,1}\tfalse\t\t[{"product","Pika"},{"capabilities",[{"basic.nack",true}]}]\n'
    )
    (row,) = json.loads(node.ctl("list_connections", "--formatter", "json", *wanted).out)
    assert row["protocol"] == [0, 9, 1]
    assert row["client_properties"][1] == ["capabilities", "table", [["basic.nack", "bool", True]]]


def test_channels(node):
    node.rows["channels"] = [{"pid": "<n1.1.5.1>", "user": "u", "consumer_count": 2, "messages_unacknowledged": 0}]
    assert node.ctl("list_channels").out == (
        "Listing channels ...\npid\tuser\tconsumer_count\tmessages_unacknowledged\n<n1.1.5.1>\tu\t2\t0\n"
    )


def test_consumers(node):
    consumer = {
        "queue": {"name": "dq", "vhost": "v"},
        "channel_pid": "<n1.1.5.2>",
        "consumer_tag": "t1",
        "ack_required": True,
        "prefetch_count": 5,
        "active": True,
        "arguments": {"x-priority": 3},
    }
    node.rows["consumers"] = [consumer]
    assert node.ctl("list_consumers", "-p", "v").out == (
        "Listing consumers in vhost v ...\n"
        "queue_name\tchannel_pid\tconsumer_tag\tack_required\tprefetch_count\tactive\targuments\n"
        'dq\t<n1.1.5.2>\tt1\ttrue\t5\ttrue\t[{"x-priority",3}]\n'
    )


def test_a_node_that_did_not_answer_is_named(node):
    node.silent = ["n2"]
    done = node.ctl("list_queues", "-q", "name")
    assert done.code == 0
    assert done.err == "Warning: rabbit@n2 did not answer in time: what only it knows is missing\n"


def test_unresponsive_queues_are_those_of_silent_nodes(node):
    assert node.ctl("list_unresponsive_queues", "-s") == (0, "", "")
    node.silent = ["n2"]
    assert node.ctl("list_unresponsive_queues", "-s") == (0, "gone\n", "")
    assert node.ctl("list_unresponsive_queues", "-s", "--local") == (0, "", "")
