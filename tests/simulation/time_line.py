"""A trace as somebody wants to read it: what befell the cluster, and in between how many messages went where.

Decides what is left out. It must not know what went wrong, except the messages that are named in the verdict: of them
every line stays.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

MESSAGE = re.compile(
    r"(?P<time> *[\d.]+) (?:(?P<who>\S+) )?(?P<verb>confirmed|refused|gets|hears) (?P<body>\S+)(?P<again> again)?$"
)
LOSS = re.compile(r" *[\d.]+ \S+ loses \d+: $")
"""A connection that broke without a word."""
BODY = re.compile(r"\b[\w.]+/\w+/\d+:\d+\b")


def time_line(trace: Iterable[str], verdict: str = "") -> Iterator[str]:
    """Line by line."""
    wanted = set(BODY.findall(verdict))
    counts: Counter[str] = Counter()
    for line in trace:
        match = MESSAGE.match(line)
        if LOSS.match(line):
            counts["connections lost"] += 1
        elif match is None or match["body"] in wanted:
            yield from _summed_up(counts)
            counts.clear()
            yield line
        else:
            counts[_kind(match)] += 1
    yield from _summed_up(counts)


def _kind(match: re.Match[str]) -> str:
    if match["verb"] in ("gets", "hears"):
        return "delivered again" if match["again"] else "delivered"
    return match["verb"]


def _summed_up(counts: Counter[str]) -> Iterator[str]:
    if counts:
        yield " " * 9 + " ... " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
