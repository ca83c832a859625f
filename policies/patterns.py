"""Regular expressions as RabbitMQ's users write them, for names: PCRE on bytes, put into Python's words.

Decides what of PCRE has another spelling in Python (POSIX classes, `\\z`, `\\h`, `\\Q...\\E`, `\\x{41}`, `(?<name>..)`,
flags in the middle) and what has none (recursion, Unicode properties, verbs: refused with a reason). It must not know
what a match permits. As in RabbitMQ a name is a row of bytes, and those above 127 count as Latin-1: `.` is one byte of
UTF-8. Sources: pcrepattern(3), and what RabbitMQ's own machine answers.
"""

import re
from functools import lru_cache
from typing import Final

_LOWER: Final = r"a-z\xaa\xb5\xba\xdf-\xf6\xf8-\xff"
_UPPER: Final = r"A-Z\xc0-\xd6\xd8-\xde"
_WORD: Final = _LOWER + _UPPER + "0-9_"
_POSIX: Final[dict[str, str]] = {
    "alpha": _LOWER + _UPPER,
    "digit": "0-9",
    "alnum": _LOWER + _UPPER + "0-9",
    "upper": _UPPER,
    "lower": _LOWER,
    "word": _WORD,
    "space": r"\s",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f-\x9f",
    "graph": r"\x21-\x7e\xa0-\xff",
    "print": r"\x20-\x7e\xa0-\xff",
    "punct": r"!-/:-@\[-`{-~\xa0-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7",
    "xdigit": "0-9A-Fa-f",
    "ascii": r"\x00-\xff",
}
_SETS: Final = {"h": r"\t \xa0", "v": r"\n\x0b\f\r\x85", "w": _WORD}
"""What `\\h`, `\\v` and `\\w` stand for; the capital letters are the others."""
_PLAIN_ESCAPES: Final = {
    "e": r"\x1b",
    "a": r"\x07",
    "z": r"\Z",
    "Z": r"(?=\n?\Z)",
    "K": "",
    "E": "",
    "C": r"[\s\S]",
    "G": r"\A",
}
_PLAIN_ESCAPES_IN_CLASS: Final = {"e": r"\x1b", "a": r"\x07", "E": ""}
_SAME: Final = frozenset("AbBdDsSntrf")
_SAME_IN_CLASS: Final = frozenset("bntrf")
_REFUSED: Final = {"p": "Unicode properties", "P": "Unicode properties", "X": "grapheme clusters"}
_GROUP_STARTS: Final = ("?:", "?=", "?!", "?<=", "?<!", "?>", "?P<", "?P=")
_IGNORED_FLAGS: Final = frozenset("UJX")
"""Greediness and duplicate names do not change whether something matches."""


class PatternInvalid(ValueError):
    """No regular expression, or one that means nothing here: `why`, and about where in the pattern."""

    def __init__(self, why: str, at: int) -> None:
        super().__init__(f"{why} at position {at}")
        self.why = why
        self.at = at


_AS_PCRE_SAYS = {
    "missing ), unterminated subpattern": "missing )",
    "unbalanced parenthesis": "unmatched parentheses",
    "min repeat greater than max repeat": "numbers out of order in {} quantifier",
    "multiple repeat": "nothing to repeat",
}


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[bytes]:
    """The expression for `matches`. Raises PatternInvalid."""
    spelled = _Speller(pattern).spell()
    try:
        return re.compile(spelled.encode("utf-8", "surrogateescape"))
    except re.error as error:
        why = _AS_PCRE_SAYS.get(error.msg, error.msg)
        raise PatternInvalid(why, len(pattern) if why == "missing )" else error.pos or 0) from None
    except (OverflowError, RecursionError) as error:
        raise PatternInvalid(str(error), 0) from None


def matches(pattern: re.Pattern[bytes], name: str) -> bool:
    """Whether the expression is found anywhere in the name."""
    return pattern.search(name.encode("utf-8", "surrogateescape")) is not None


def _complement(ranges: str) -> str:
    """The members of a class that are not in these, as members of a class."""
    members = re.compile(f"[{ranges}]".encode("latin-1"))
    return "".join(f"\\x{byte:02x}" for byte in range(256) if members.match(bytes((byte,))) is None)


class _Speller:
    """Walks through one pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._out: list[str] = []
        self._flags: list[list[str]] = [[]]
        """For each open group the flag groups that were opened inside it, and end where it ends or branches."""
        self._extended: list[bool] = [False]

    def spell(self) -> str:
        """The whole pattern in Python's words."""
        if self._pattern.startswith("(*"):
            raise self._invalid("verbs are not supported")
        while self._at < len(self._pattern):
            self._step(self._take())
        self._close_flags()
        return "".join(self._out)

    def _invalid(self, why: str) -> PatternInvalid:
        return PatternInvalid(why, self._at)

    def _take(self) -> str:
        found = self._pattern[self._at : self._at + 1]
        self._at += 1
        return found

    def _ahead(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _match(self, expression: str) -> re.Match[str] | None:
        """Step over what the expression matches here, if it does."""
        found = re.compile(expression).match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _close_flags(self) -> None:
        self._out.append(")" * len(self._flags[-1]))

    def _step(self, letter: str) -> None:
        if letter == "\\":
            self._out.append(self._escape())
        elif letter == "[":
            self._out.append(self._class())
        elif letter == "(":
            self._open()
        elif letter == ")":
            if len(self._flags) == 1:
                raise self._invalid("unmatched closing parenthesis")
            self._close_flags()
            self._flags.pop()
            self._extended.pop()
            self._out.append(")")
        elif letter == "|":
            self._close_flags()
            self._out += ["|", *self._flags[-1]]
        elif letter == "{" and self._ahead(","):
            self._out.append("\\{")  # no quantifier in PCRE
        elif self._extended[-1] and letter == "#":
            self._match(r"[^\n]*")
        elif not (self._extended[-1] and letter.isspace()):
            self._out.append(letter)

    # ------------------------------------------------------------------ groups

    def _open(self) -> None:
        if self._ahead("*"):
            raise self._invalid("verbs are not supported")
        if self._match(r"\?#[^)]*\)"):
            return
        if flags := self._match(r"\?([imsxUJX]*)(?:-([imsxUJX]*))?([:)])"):
            self._set_flags(flags[1], flags[2] or "", scoped=flags[3] == ":")
            return
        self._flags.append([])
        self._extended.append(self._extended[-1])
        if name := self._match(r"\?<(\w+)>|\?'(\w+)'"):
            self._out.append(f"(?P<{name[1] or name[2]}>")
        elif condition := self._match(r"\?\((?:<(\w+)>|'(\w+)'|(\w+))\)"):
            self._out.append(f"(?({condition[1] or condition[2] or condition[3]})")
        elif self._match(r"\?\|"):
            self._out.append("(?:")
        elif self._ahead("?") and not any(self._ahead(start) for start in _GROUP_STARTS):
            raise self._invalid("recursion, callouts and conditions that look around are not supported")
        else:
            self._out.append("(" + (self._match(r"\?(?:<?[=!]|[:>]|P[<=])") or [""])[0])

    def _set_flags(self, on: str, off: str, *, scoped: bool) -> None:
        if not scoped and set(on + off) <= _IGNORED_FLAGS:
            return
        extended = ("x" in on or self._extended[-1]) and "x" not in off
        on, off = ("".join(flag for flag in flags if flag not in _IGNORED_FLAGS | {"x"}) for flags in (on, off))
        start = f"(?{on}-{off}:" if off else f"(?{on}:"
        self._out.append(start)
        if scoped:
            self._flags.append([])
            self._extended.append(extended)
        else:
            self._flags[-1].append(start)
            self._extended[-1] = extended

    # ------------------------------------------------------------------ escapes

    def _escape(self) -> str:
        letter = self._take()
        if letter == "Q":
            return re.escape(self._quoted())
        if letter in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[letter]
        if letter == "R":
            return r"(?:\r\n|[\n\x0b\f\r\x85])"
        if letter == "N":
            return r"[^\n]"
        if letter.lower() in _SETS:
            return f"[{'^' if letter.isupper() else ''}{_SETS[letter.lower()]}]"
        if letter in "gk" and (reference := self._match(r"\{(-?\w+)\}|<(\w+)>|'(\w+)'|(-?\d+)")):
            return self._reference(reference[1] or reference[2] or reference[3] or reference[4])
        if letter in _SAME or (letter.isdigit() and letter != "0"):
            return "\\" + letter
        return self._character(letter)

    def _reference(self, name: str) -> str:
        if name.startswith("-"):
            raise self._invalid("references to groups by their distance are not supported")
        return f"(?:\\{name})" if name.isdigit() else f"(?P={name})"

    def _quoted(self) -> str:
        text, _, _ = self._pattern[self._at :].partition("\\E")
        self._at = min(len(self._pattern), self._at + len(text) + 2)
        return text

    def _character(self, letter: str) -> str:
        """An escape that means one character, inside and outside of classes."""
        if not letter:
            raise self._invalid("\\ at end of pattern")
        if letter in _REFUSED:
            raise self._invalid(f"{_REFUSED[letter]} are not supported")
        code: int | None = None
        if letter == "x":
            digits = self._match(r"\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{0,2})")
            code = int((digits[1] or digits[2] if digits else "") or "0", 16)
        elif letter == "o" and (digits := self._match(r"\{([0-7]+)\}")):
            code = int(digits[1], 8)
        elif letter == "0":
            digits = self._match(r"[0-7]{0,2}")
            code = int("0" + (digits[0] if digits else ""), 8)
        elif letter == "c":
            code = ord(self._take().upper() or "\0") ^ 64
        if code is None:
            return re.escape(letter)
        if code > 255:
            raise self._invalid("character value too large")
        return f"\\x{code:02x}"

    # ------------------------------------------------------------------ classes

    def _class(self) -> str:
        out = ["[^" if self._match(r"\^") else "["]
        if self._match(r"\]"):
            out.append("\\]")
        while self._at < len(self._pattern):
            if posix := self._match(r"\[:(\^?)(\w+):\]"):
                out.append(self._posix(posix[2], negated=bool(posix[1])))
                self._keep_hyphen(out)
                continue
            letter = self._take()
            if letter == "]":
                return "".join(out) + "]"
            if letter == "\\":
                out.append(self._escape_in_class(out))
            else:
                is_literal = letter in "[&~|" or (letter == "-" and out[-1] in ("[", "[^", "-"))
                out.append("\\" + letter if is_literal else letter)
        raise self._invalid("missing terminating ] for character class")

    def _keep_hyphen(self, out: list[str]) -> None:
        """Behind a set a hyphen is one, not the middle of a range."""
        if self._ahead("-"):
            self._at += 1
            out.append("\\-")

    def _posix(self, name: str, *, negated: bool) -> str:
        ranges = _POSIX.get(name)
        if ranges is None:
            raise self._invalid("unknown POSIX class name")
        return _complement(ranges) if negated else ranges

    def _escape_in_class(self, out: list[str]) -> str:
        letter = self._take()
        if letter == "Q":
            return re.escape(self._quoted())
        if letter in _PLAIN_ESCAPES_IN_CLASS:
            return _PLAIN_ESCAPES_IN_CLASS[letter]
        if letter.lower() in {*_SETS, "d", "s"}:
            own = _SETS.get(letter.lower())
            out.append(f"\\{letter}" if own is None else _complement(own) if letter.isupper() else own)
            self._keep_hyphen(out)
            return ""
        if letter in _SAME_IN_CLASS:
            return "\\" + letter
        if letter.isdigit():
            self._at -= 1
            digits = self._match(r"[0-7]{1,3}")
            return f"\\x{int(digits[0], 8) & 255:02x}" if digits else self._take()
        return self._character(letter)
