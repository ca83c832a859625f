"""Each expectation was asked of RabbitMQ's own regular expressions (Erlang's `re`)."""

import pytest

from policies.patterns import PatternInvalid, compile_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "those", "not_others"),
    [
        ("", ["", "a"], []),
        (r"^(?!amq\.).*", ["mine", ""], ["amq.direct"]),
        (r"^[[:alnum:]_-]+$", ["my_queue-1", "a1"], ["w w", "!", "", "\xa0"]),
        (r"^[[:^digit:]]+$", ["ab", "é"], ["5", "a1"]),
        (r"[[:punct:]]$", ["!", "."], ["a", " "]),
        (r"^[[:alpha:]-z]+$", ["a-z"], ["5"]),
        (r"\Aq\z", ["q"], ["q\n", "aq"]),
        (r"q\Z", ["q", "q\n"], ["qa"]),
        (r"\Gq", ["q"], ["aq"]),
        (r"a(?i)b|c", ["ab", "aB", "C"], ["AB"]),
        (r"(a(?i)b|c)D", ["aBD", "CD"], ["aBd", "ABD"]),
        (r"(?i:A)b", ["ab", "Ab"], ["aB"]),
        (r"(?-i)a|(?i-s)Q", ["a", "q"], ["A"]),
        (r"(?U)a+?b(?J)", ["aab"], ["b"]),
        (r"(?<n>a)\k<n>", ["aa"], ["a"]),
        (r"(?'n'a)\k'n'|(?P<m>b)(?P=m)", ["aa", "bb"], ["ab"]),
        (r"(a)\g1|(b)\g{2}", ["aa", "bb"], ["ab"]),
        (r"(a)?(?(1)b|c)", ["ab", "c"], ["a"]),
        (r"(?<n>a)?(?(<n>)b|c)", ["ab", "c"], ["a"]),
        (r"^(?|(a)|(b))$(?#really)", ["a", "b"], ["c"]),
        (r"^\Qa.b\E+$|^[\Qa-z\E]-$|\Q[", ["a.b", "a.bb", "--", "["], ["aXb", "b-"]),
        (
            r"^(?:\x{41}|\x42|\x4|\103|\o{104}|\cE|\0|\e|\a)$",
            ["A", "B", "\4", "C", "D", "\5", "\0", "\x1b", "\a"],
            ["x"],
        ),
        (r"^[\x{41}\102\e\a\b\h\V]$", ["A", "B", "\x1b", "\a", "\b", "\t", "q"], ["\n"]),
        (r"^(?:\h|\R|\N\N|\K1|\y)$", [" ", "\r\n", "\n", "ab", "1", "y"], ["\n\n\n"]),
        (r"^a{,2}$", ["a{,2}"], ["a", "aa"]),
        (r"a++b|(?>c+)d", ["aab", "ccd"], ["a"]),
        (r"(?x) a b # c )", ["ab"], ["a b"]),
        (r"(?x: a b )c d", ["abc d"], ["abcd"]),
        (r"(?s)a.b|(?m)^c", ["a\nb", "x\nc"], ["xc"]),
        (r"^[]a]+$|^[^]a]x$|^[[&~|b]{3}$", ["]a", "bx", "[[[", "b&b"], ["ax", "]x"]),
        (r"^[+--]$|^[--0]!$|^[\d-z]\?$", [",", "/!", "-?", "7?"], [".", "a!", "x?"]),
        (r"^..$|\w\W", ["é", "ab", "a-"], ["a", "aé"[:1]]),
    ],
)
def test_names_are_found_as_rabbitmq_finds_them(pattern, those, not_others):
    compiled = compile_pattern(pattern)
    assert [name for name in those if not matches(compiled, name)] == []
    assert [name for name in not_others if matches(compiled, name)] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("*", "nothing to repeat"),
        ("(", "missing \\)"),
        ("a)", "unmatched closing parenthesis"),
        ("[a", "missing terminating ]"),
        ("a\\", "at end of pattern"),
        ("[z-a]", "bad character range"),
        ("[[:foo:]]", "unknown POSIX class"),
        ("(?^)", "not supported"),
        ("(?R)", "recursion"),
        ("(?(?=a)b)", "conditions that look around"),
        ("(*UTF8)a", "verbs"),
        ("a(*FAIL)", "verbs"),
        (r"\p{L}", "Unicode properties"),
        (r"(a)\g{-1}", "by their distance"),
        (r"\x{263a}", "character value too large"),
        ("(?q)a", "not supported"),
    ],
)
def test_what_is_refused_and_why(pattern, why):
    with pytest.raises(PatternInvalid, match=why):
        compile_pattern(pattern)


def test_a_refusal_says_where():
    with pytest.raises(PatternInvalid) as caught:
        compile_pattern(r"ab\p")
    assert (caught.value.why, caught.value.at) == ("Unicode properties are not supported", 4)


def test_names_that_are_no_utf_8_have_bytes_all_the_same():
    assert matches(compile_pattern("^..$"), "\udcff\udcfe")
    assert not matches(compile_pattern("^.$"), "\udcff\udcfe")
