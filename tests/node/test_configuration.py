"""cluster.yaml: defaults, environment, numbering of ports; every fault is one line with file, line, key and advice."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.node.configuration import Address, Cluster, ConfigurationError, Settings, load
from broker.node.configuration_policies import read_policies

EXAMPLE = Path(__file__).resolve().parents[2] / "cluster.yaml"


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "cluster.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(write, tmp_path):
    def problems(text: str) -> list[str]:
        with pytest.raises(ConfigurationError) as refused:
            load(write(text))
        assert all("\n" not in line for line in refused.value.problems)
        return [line.removeprefix(f"{tmp_path}/") for line in refused.value.problems]

    return problems


def test_the_example_of_the_repository_is_what_it_says():
    cluster = load(EXAMPLE)
    assert cluster.names == ("n1", "n2", "n3")
    assert [str(node.link) for node in cluster.nodes] == ["127.0.0.1:25672", "127.0.0.1:25673", "127.0.0.1:25674"]
    assert (cluster.data, cluster.run_folder) == (EXAMPLE.parent / "data", EXAMPLE.parent / "data")
    assert cluster.policies[0].definition["ha-mode"] == "all"
    assert cluster.users[0].permissions == {"/": (".*", ".*", ".*")}
    assert cluster.partition_handling.in_effect(cluster.names) == "pause_minority"


def test_without_a_file_there_are_three_nodes_with_every_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cluster = load(None)
    assert cluster.names == ("n1", "n2", "n3")
    assert cluster.data == tmp_path / "data"
    assert cluster.users[0].name == "guest"
    assert cluster.node("n2").settings == Settings()


def test_three_node_names_are_a_file(write):
    assert load(write("nodes: [a, b, c]")).node("c").amqp == Address("127.0.0.1", 5674)
    assert load(write("nodes: [{name: a}, b, c]")).node("a").http == Address("127.0.0.1", 15672)


def test_ports_are_counted_up_around_those_that_the_file_names(write):
    cluster = load(write('nodes: [{name: a, amqp: "127.0.0.1:5673"}, b, c]'))
    assert [node.amqp.port for node in cluster.nodes] == [5673, 5674, 5675]


def test_an_empty_file_is_all_defaults(write):
    assert load(write("# nothing\n")).names == ("n1", "n2", "n3")


def test_a_node_may_have_an_fsync_policy_of_its_own(write):
    cluster = load(
        write("settings: {fsync: interval, fsync_interval: 200}\nnodes: [a, {name: b, settings: {fsync: never}}, c]")
    )
    found = {node.name: (node.settings.fsync, node.settings.fsync_interval) for node in cluster.nodes}
    assert found == {"a": ("interval", 200), "b": ("never", 200), "c": ("interval", 200)}
    assert (Settings().fsync, Settings().fsync_interval) == ("always", 1000)


def test_a_file_that_the_supervisor_resolved_is_read_back_whole(write):
    cluster = load(EXAMPLE)
    path = write(json.dumps(cluster.as_json()), "cluster.json")
    assert load(path) == cluster


def test_secrets_are_not_shown():
    shown = repr(load(EXAMPLE))
    assert "change-me" not in shown
    assert "password" not in shown


def test_environment_is_filled_in_with_defaults(write, monkeypatch):
    monkeypatch.setenv("WARREN_TEST_NAME", "prod")
    monkeypatch.delenv("WARREN_TEST_PORT", raising=False)
    text = (
        "cluster:\n  name: ${WARREN_TEST_NAME:-dev}\n  cookie: a-${WARREN_TEST_NAME}\n"
        "nodes: [{name: a, amqp: '127.0.0.1:${WARREN_TEST_PORT:-7000}'}]\n"
        "settings:\n  heartbeat: ${WARREN_TEST_PORT:-7}\n"
    )
    cluster = load(write(text))
    assert (cluster.name, cluster.cookie) == ("prod", "a-prod")
    assert cluster.nodes[0].amqp.port == 7000
    assert cluster.nodes[0].settings.heartbeat == 7


def test_a_node_may_have_settings_of_its_own(write):
    cluster = load(write("nodes: [{name: a, settings: {heartbeat: 5}}]\nsettings: {heartbeat: 9, net_ticktime: 2}"))
    assert (cluster.nodes[0].settings.heartbeat, cluster.nodes[0].settings.net_ticktime) == (5, 2)


def test_who_comes_in_and_when_a_node_is_short_of_something(write):
    text = """
settings:
  auth_mechanisms: [EXTERNAL, PLAIN]
  loopback_users: none
  ssl_cert_login_from: subject_alternative_name
  ssl_cert_login_san_type: email
  ssl_cert_login_san_index: 1
  vm_memory_high_watermark: {absolute: 2GB}
  disk_free_limit: 50MiB
nodes:
- {name: a, settings: {loopback_users: [ann], disk_free_limit: {relative: 1.5}, vm_memory_high_watermark: 0.6}}
- b
- c
"""
    cluster = load(write(text))
    own, common = cluster.node("a").settings, cluster.node("b").settings
    assert common.auth_mechanisms == own.auth_mechanisms == ("EXTERNAL", "PLAIN")
    assert (own.loopback_users, common.loopback_users) == (("ann",), ())
    assert common.ssl_cert_login_from == "subject_alternative_name"
    assert (common.ssl_cert_login_san_type, common.ssl_cert_login_san_index) == ("email", 1)
    assert (own.vm_memory_high_watermark, common.vm_memory_high_watermark) == (0.6, 2_000_000_000)
    assert (own.disk_free_limit, common.disk_free_limit) == (1.5, 50 << 20)
    again = Cluster.from_json(json.loads(json.dumps(cluster.as_json())))
    assert again == cluster
    assert isinstance(again.node("a").settings.disk_free_limit, float)


def test_data_is_relative_to_the_file_or_in_memory(write, tmp_path):
    assert load(write("data: there")).data == tmp_path / "there"
    memory = load(write("data: memory"))
    assert memory.data is None
    assert memory.node_folder("n1") is None
    assert memory.run_folder == load(tmp_path / "cluster.yaml").run_folder != load(EXAMPLE).run_folder


def test_guest_may_do_everything_everywhere_if_the_file_names_no_users(write):
    assert set(load(write('vhosts: ["/", shop]')).users[0].permissions) == {"/", "shop"}


def test_policies_are_ready_made_or_files_or_written_in_place(write):
    write(
        "- {name: short, pattern: ^a, definition: {expires: 9}}\n- {name: b, pattern: '', definition: {expires: 8}}",
        "my.yaml",
    )
    cluster = load(
        write(
            'vhosts: ["/", shop]\npolicies: [ha-all, my.yaml, {name: two, vhost: shop, pattern: x, priority: 2, '
            "apply-to: queues, definition: {ha-mode: exactly, ha-params: 2}}]\n"
            "operator_policies: [{name: cap, pattern: '', definition: {max-length: 5}}]"
        )
    )
    assert [(policy.vhost, policy.name) for policy in cluster.policies] == [
        ("/", "ha-all"), ("shop", "ha-all"), ("/", "short"), ("/", "b"), ("shop", "two"),
    ]  # fmt: skip
    assert cluster.operator_policies[0].definition == {"max-length": 5}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cluster:\n  cookee: x", "cluster.yaml:2: cluster.cookee: unknown key: did you mean cookie? (known: name, "),
        ("gateways: {}", "cluster.yaml:1: gateways: unknown key: (known: cluster, nodes, data, "),
        ("nodes:\n- n1\n- {name: b, port: 1}", "cluster.yaml:3: nodes[1].port: unknown key: (known: name, amqp, "),
        ("settings: {net_ticktime: 0.5}", "cluster.yaml:1: settings.net_ticktime: 0.5: must be at least 1"),
        ("settings: {heartbeat: soon}", "cluster.yaml:1: settings.heartbeat: 'soon': must be a whole number"),
        ("settings: {heartbeat: yes}", "cluster.yaml:1: settings.heartbeat: True: must be a whole number"),
        (
            "settings: {queue_master_locator: near}",
            "cluster.yaml:1: settings.queue_master_locator: 'near': must be one of client-local, min-masters, random",
        ),
        (
            "nodes: [{name: a, settings: {net_ticktime: 3}}]",
            "cluster.yaml:1: nodes[0].settings.net_ticktime: unknown key: (known: heartbeat, ",
        ),
        ("nodes: []", "cluster.yaml:1: nodes: has 0, must have at least 1"),
        ("nodes: [a, b, a]", "cluster.yaml:1: nodes[2].name: 'a' is taken by nodes[0]: give each its own name"),
        ("nodes: [rabbit@a]", "cluster.yaml:1: nodes[0].name: 'rabbit@a': a node name is made of letters, "),
        ("nodes: [{amqp: 'a:1'}]", "cluster.yaml:1: nodes[0].name: is missing"),
        (
            "nodes:\n- name: a\n  amqp: '127.0.0.1:99999'",
            "cluster.yaml:3: nodes[0].amqp: '127.0.0.1:99999': use host:port with a port from 0 to 65535, as ",
        ),
        ("nodes: [{name: a, amqp: 5672}]", "cluster.yaml:1: nodes[0].amqp: 5672: use host:port with a port from "),
        (
            "nodes:\n- {name: a, amqp: '127.0.0.1:1'}\n- {name: b, link: '127.0.0.1:1'}\n- c",
            "cluster.yaml:3: nodes[1].link: 127.0.0.1:1 is taken by amqp of a: give each its own port",
        ),
        (
            "nodes: [{name: a, http: '127.0.0.1:5672', amqp: '0.0.0.0:5672'}]",
            "cluster.yaml:1: nodes[0].http: 127.0.0.1:5672 is taken by amqp of a: give each its own port",
        ),
        (
            "nodes: [{name: a, link: '10.0.0.1:25672'}]",
            "cluster.yaml:1: nodes[0].link: 10.0.0.1:25672 can be reached from other machines, but the cookie ",
        ),
        ("users: [{name: u, password: 123}]", "cluster.yaml:1: users[0].password: is not a text: put it in quotes"),
        (
            "users: [{name: u, password: p, permissions: {'/': ['(', a, b]}}]",
            "cluster.yaml:1: users[0].permissions./[0]: '(': is not a regular expression: ",
        ),
        (
            "users: [{name: u, password: p, permissions: {'/': [a]}}]",
            "cluster.yaml:1: users[0].permissions./: ['a']: must be three patterns, for configure, write and read, ",
        ),
        (
            "users: [{name: u, password: p, permissions: {shop: [a, b, c]}}]",
            "cluster.yaml:1: users[0].permissions.shop: there is no vhost 'shop': add it to vhosts (/)",
        ),
        ("vhosts: [a, a]", "cluster.yaml:1: vhosts[1]: 'a' is taken by vhosts[0]: give each its own name"),
        ("policies: [ha-most]", "cluster.yaml:1: policies[0]: 'ha-most' is neither a file nor a ready-made policy ("),
        ("policies: [7]", "cluster.yaml:1: policies[0]: 7: must be the name of a ready-made policy, a file, or "),
        ("policies:\n- {name: p, pattern: x}", "cluster.yaml:2: policies[0].definition: is missing"),
        (
            "policies:\n- name: p\n  pattern: x\n  definition:\n    ha-mod: all",
            "cluster.yaml:5: policies[0].definition.ha-mod: [{<<\"ha-mod\">>,<<\"all\">>}] are not recognised ",
        ),
        (
            "policies: [{name: p, pattern: x, definition: {ha-mode: exactly, ha-params: two}}]",
            "cluster.yaml:1: policies[0].definition.ha-params: ha-mode=\"exactly\" takes an integer, <<\"two\">> given",
        ),
        (
            "policies: [{name: p, vhost: shop, pattern: x, definition: {expires: 1}}]",
            "cluster.yaml:1: policies[0].vhost: there is no vhost 'shop'",
        ),
        (
            "policies:\n- ha-all\n- ha-all",
            "cluster.yaml:3: policies[1]: policy 'ha-all' of vhost '/' stands here a second time",
        ),
        ("operator_policies: [ha-all]", "cluster.yaml:1: operator_policies[0]: 'ha-all' has keys that an operator "),
        ("vhosts: ${WARREN_NO_SUCH}", "cluster.yaml:1: vhosts: ${WARREN_NO_SUCH}: this variable is not set: "),
        ("a: 1\na: 2", "cluster.yaml:2: a: stands here a second time, the first is on line 1"),
        ("nodes: {a: 1", "cluster.yaml:2: is not YAML: "),
        ("nodes: [{name: a, amqp: [::1]:5672}]", "cluster.yaml:1: is not YAML: "),
        ("- n1", "cluster.yaml:1: must be a mapping with keys as cluster: and nodes:"),
        ("vhosts: &a [*a]", "cluster.yaml:1: vhosts[0]: contains itself"),
        (
            "nodes: [{name: a, amqps: '127.0.0.1:0'}]",
            "cluster.yaml:1: nodes[0].amqps: 127.0.0.1:0 needs certificates: add tls: {cert: FILE, ",
        ),
        (
            "nodes: [{name: a, amqp: '127.0.0.1:1', amqps: '127.0.0.1:1'}]",
            "cluster.yaml:1: nodes[0].amqps: 127.0.0.1:1 is taken by amqp of a: give each its own port",
        ),
        ("tls: {cert: a, key: b, ca: c, verify: maybe}", "cluster.yaml:1: tls.verify: 'maybe': must be none or peer"),
        (
            "tls: {cert: a, key: b, ca: c, fail_if_no_peer_cert: 7}",
            "cluster.yaml:1: tls.fail_if_no_peer_cert: 7: must be true or false",
        ),
        (
            "tls: {cert: a, key: b, ca: c, fail_if_no_peer_cert: true}",
            "cluster.yaml:1: tls.fail_if_no_peer_cert: needs verify: peer, or nobody is asked for a certificate",
        ),
        (
            "tls: {cert: a, key: b, ca: c, sni: {'no host': {cert: d, key: e}}}",
            "cluster.yaml:1: tls.sni.no host.[key]: 'no host': must be a host name, as broker.example.org",
        ),
        (
            "tls:\n  cert: a\n  key: b\n  ca: c\n  sni:\n    x.org: {cert: d}",
            "cluster.yaml:6: tls.sni.x.org.key: is missing",
        ),
        (
            "tls:\n  cert: a\n  key: b\n  ca: c\n  sni:\n    x.org:\n      cert: d\n      key: e",
            "cluster.yaml:7: tls.sni.x.org.cert: there is no file ",
        ),
        (
            "settings: {auth_mechanisms: [PLAIN, KERBEROS]}",
            "cluster.yaml:1: settings.auth_mechanisms[1]: 'KERBEROS': must be one of PLAIN, AMQPLAIN, EXTERNAL",
        ),
        ("settings: {auth_mechanisms: []}", "cluster.yaml:1: settings.auth_mechanisms: has 0, must have at least 1"),
        ("settings: {auth_mechanisms: PLAIN}", "cluster.yaml:1: settings.auth_mechanisms: 'PLAIN': must be a list"),
        (
            "settings: {loopback_users: guest}",
            "cluster.yaml:1: settings.loopback_users: 'guest': must be a list of user names, as [guest], or none",
        ),
        (
            "settings: {ssl_cert_login_from: cn}",
            "cluster.yaml:1: settings.ssl_cert_login_from: 'cn': must be distinguished_name, common_name or ",
        ),
        (
            "settings: {ssl_cert_login_san_type: x400}",
            "cluster.yaml:1: settings.ssl_cert_login_san_type: 'x400': must be dns, ip, email or uri",
        ),
        (
            "settings: {fsync: sometimes}",
            "cluster.yaml:1: settings.fsync: 'sometimes': must be always, interval or never",
        ),
        (
            "nodes: [{name: a, settings: {fsync_interval: 0}}]",
            "cluster.yaml:1: nodes[0].settings.fsync_interval: 0: must be at least 1",
        ),
        (
            "settings: {vm_memory_high_watermark: 1.5}",
            "cluster.yaml:1: settings.vm_memory_high_watermark: 1.5: The threshold should be a fraction ",
        ),
        (
            "settings: {vm_memory_high_watermark: {absolute: lots}}",
            "cluster.yaml:1: settings.vm_memory_high_watermark: {'absolute': 'lots'}: use a whole number of ",
        ),
        (
            "nodes: [{name: a, settings: {disk_free_limit: []}}]",
            "cluster.yaml:1: nodes[0].settings.disk_free_limit: []: use {relative: 0.4} for a share of the machine's ",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_says_what_would_be_right(problems, text, line):
    assert any(problem.startswith(line) for problem in problems(text)), problems(text)


def test_all_faults_are_told_at_once_in_the_order_of_the_file(problems):
    found = problems("policies: [ha-most]\nsettings: {heartbeat: -1}\nnodes:\n- {name: a, amqp: x}\n")
    assert [line.split(":")[1] for line in found] == ["1", "2", "4"]


def test_a_password_is_not_repeated_in_an_error(problems):
    assert not any("31337" in line for line in problems("users: [{name: u, password: 31337}]"))


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path / "no.yaml")
    assert refused.value.problems == [f"{tmp_path}/no.yaml: there is no such file"]


def test_a_fault_in_a_policy_file_names_that_file(write, problems):
    write("- name: a\n  pattern: x\n  definition: {expires: 0}\n", "mine.yaml")
    assert problems("policies: [mine.yaml]") == ["mine.yaml:3: [0].definition.expires: 0 is not a valid queue expiry"]


def test_a_policy_file_for_the_command_line(write):
    assert read_policies(write("{name: a, pattern: x, definition: {expires: 1}}", "p.yaml"), "shop") == [
        {"vhost": "shop", "name": "a", "pattern": "x", "apply-to": "all", "priority": 0, "definition": {"expires": 1}}
    ]


@given(st.text())
def test_any_text_is_a_cluster_or_a_configuration_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(ConfigurationError):
        assert load(path).nodes


def test_the_resolved_file_round_trips_policies(write):
    cluster = load(write("policies: [ha-two]\noperator_policies: [{name: c, pattern: '', definition: {expires: 1}}]"))
    assert Cluster.from_json(json.loads(json.dumps(cluster.as_json()))) == cluster


def test_definitions_are_a_file_beside_this_one(write, tmp_path, problems):
    write("{}", "rabbit.json")
    cluster = load(write("definitions: rabbit.json"))
    assert cluster.definitions == tmp_path / "rabbit.json"
    assert Cluster.from_json(json.loads(json.dumps(cluster.as_json()))) == cluster
    assert load(write("nodes: [a]")).definitions is None
    where, file = "cluster.yaml:1: definitions: ", tmp_path / "rabbit.json"
    assert problems("definitions: none.json") == [
        f"{where}{tmp_path}/none.json cannot be read: No such file or directory"
    ]
    write("[]", "rabbit.json")
    assert problems("definitions: rabbit.json") == [f"{where}{file} has no definitions: they are a JSON object"]
    write("nodes: {", "rabbit.json")
    assert problems("definitions: rabbit.json")[0].startswith(f"{where}{file} is not JSON: ")
