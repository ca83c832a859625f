"""RabbitMQ's texts for every fault of mirroring.md section 2.6."""

import pytest

from policies.validation import InvalidPolicy, checked, definition_problems, erlang, problems


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({}, "no policy provided"),
        (["ha-mode"], 'definition must be a dictionary: [<<"ha-mode">>]'),
        (
            {"ha-params": 2},
            "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown",
        ),
        (
            {"ha-promote-on-failure": "always"},
            "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown",
        ),
        ({"ha-mode": "some"}, '<<"some">> is not a valid ha-mode value'),
        ({"ha-mode": ["all"]}, '[<<"all">>] is not a valid ha-mode value'),
        ({"ha-mode": "all", "ha-params": 2}, 'ha-mode="all" does not take parameters'),
        ({"ha-mode": "exactly"}, 'ha-mode="exactly" takes an integer, none given'),
        ({"ha-mode": "exactly", "ha-params": 0}, 'ha-mode="exactly" takes an integer, 0 given'),
        ({"ha-mode": "exactly", "ha-params": True}, 'ha-mode="exactly" takes an integer, true given'),
        ({"ha-mode": "exactly", "ha-params": "2"}, 'ha-mode="exactly" takes an integer, <<"2">> given'),
        ({"ha-mode": "nodes", "ha-params": []}, 'ha-mode="nodes" list must be non-empty'),
        ({"ha-mode": "nodes", "ha-params": ["n1", 2]}, 'ha-mode="nodes" takes a list of strings, 2 was not a string'),
        ({"ha-mode": "nodes", "ha-params": "n1"}, 'ha-mode="nodes" takes a list, <<"n1">> given'),
        ({"ha-mode": "nodes"}, 'ha-mode="nodes" takes a list, none given'),
        ({"ha-mode": "all", "ha-sync-mode": "eager"}, 'ha-sync-mode must be "manual" or "automatic", got <<"eager">>'),
        (
            {"ha-mode": "all", "ha-sync-batch-size": 0},
            "ha-sync-batch-size takes an integer greater than 0, 0 given",
        ),
        (
            {"ha-mode": "all", "ha-promote-on-shutdown": "never"},
            'ha-promote-on-shutdown must be "always" or "when-synced", got <<"never">>',
        ),
        (
            {"ha-mode": "all", "ha-promote-on-failure": None},
            'ha-promote-on-failure must be "always" or "when-synced", got null',
        ),
        ({"queue-master-locator": "nearest"}, '<<"nearest">> invalid queue-master-locator value'),
        ({"message-ttl": -1}, "-1 is not a valid message TTL"),
        ({"expires": 0}, "0 is not a valid queue expiry"),
        ({"max-length": 1.5}, "1.5 is not a valid maximum length"),
        ({"max-length-bytes": "1k"}, '<<"1k">> is not a valid maximum length in bytes'),
        ({"overflow": "drop"}, '<<"drop">> is not a valid overflow value'),
        ({"dead-letter-exchange": 1}, "1 is not a valid dead letter exchange name"),
        ({"dead-letter-routing-key": 1}, "1 is not a valid dead letter routing key"),
        ({"ha-mod": "all"}, '[{<<"ha-mod">>,<<"all">>}] are not recognised policy settings'),
        ({"max-priority": 5}, '[{<<"max-priority">>,5}] are not recognised policy settings'),
        ({"foo": 1, "bar": 2}, '[{<<"bar">>,2},{<<"foo">>,1}] are not recognised policy settings'),
        ({"queue-mode": "busy"}, '<<"busy">> is not a valid queue-mode value'),
        ({"queue-version": 3}, "3 is not a valid queue-version value"),
        ({"delivery-limit": -1}, "-1 is not a valid delivery limit"),
        ({"dead-letter-strategy": 5}, "5 is not a valid dead letter strategy"),
        ({"queue-leader-locator": "foo"}, '<<"foo">> is not a valid queue leader locator value'),
        ({"max-in-memory-length": -1}, "-1 is not a valid maximum memory in bytes"),
    ],
)
def test_definition_texts(definition, text):
    assert [problem.text for problem in definition_problems(definition)] == [text]


def test_an_operator_policy_knows_fewer_keys():
    assert not definition_problems({"expires": 1, "ha-mode": "all"}, operator=True)
    (problem,) = definition_problems({"overflow": "drop-head"}, operator=True)
    assert problem.text == '[{<<"overflow">>,<<"drop-head">>}] are not recognised policy settings'


def test_all_faults_are_told_at_once():
    with pytest.raises(InvalidPolicy) as refused:
        checked({"name": "p", "pattern": "(", "apply-to": "topics", "priority": "high", "definition": {}})
    first, blank, *reasons = str(refused.value).splitlines()
    assert (first, blank) == ("Validation failed", "")
    assert reasons[0].startswith('pattern should be regular expression but is invalid: {"')
    assert reasons[1:] == [
        "apply-to 'topics' unrecognised; should be 'queues', 'exchanges' or 'all'",
        'priority should be a number, actually was <<"high">>',
        "no policy provided",
    ]


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ("(", '{"missing )",1}'),
        ("[a", '{"missing terminating ] for character class",2}'),
        ("*a", '{"nothing to repeat",0}'),
    ],
)
def test_patterns_are_refused_in_the_words_of_pcre(pattern, where):
    (problem,) = problems({"pattern": pattern, "definition": {"expires": 1}})
    assert problem.text == f"pattern should be regular expression but is invalid: {where}"


def test_a_pattern_may_be_spelled_as_pcre_spells_it_but_not_ask_for_what_is_not_there():
    assert not problems({"pattern": "[[:alpha:]]", "definition": {"expires": 1}})
    (problem,) = problems({"pattern": r"\p{L}", "definition": {"expires": 1}})
    assert problem.field == "pattern"


def test_a_sound_policy_comes_back_as_one():
    value = {
        "vhost": "/", "name": "two", "pattern": "^orders", "apply-to": "queues", "priority": 1,
        "definition": {"ha-mode": "exactly", "ha-params": 2},
    }  # fmt: skip
    assert checked(value).as_json() == value


def test_erlang_terms():
    assert erlang({"a": [1, 'say "x"', {}], "b": False}) == '[{<<"a">>,[1,<<"say \\"x\\"">>,[]]},{<<"b">>,false}]'
