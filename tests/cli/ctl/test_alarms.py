"""set_vm_memory_high_watermark and set_disk_free_limit: words and codes as rabbitmqctl 3.10.8 has them."""

import pytest

from tests.cli.ctl.station import open_ctl

MEMORY, DISK = "set_vm_memory_high_watermark", "set_disk_free_limit"


async def test_limits_are_set_while_a_node_runs(monkeypatch, capsys, autojump_clock):
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        limits = hall.alarms.limits
        for words, said, limit in (
            (("0.5",), "0.5", 0.5),
            (("0",), "0", 0.0),
            (("absolute", "2GB"), "2GB bytes", 2_000_000_000),
            (("absolute", "7"), "7 bytes", 7),
        ):
            assert await ctl(MEMORY, *words) == (0, f"Setting memory threshold on rabbit@n1 to {said} ...\n", "")
            assert limits.memory == limit
        for words, said, limit in (
            (("1GiB",), "1GiB bytes", 1 << 30),
            (("mem_relative", "2.0"), "2.0 times the total RAM", 2.0),
        ):
            assert await ctl(DISK, *words) == (0, f"Setting disk free limit on rabbit@n1 to {said} ...\n", "")
            assert limits.disk_free == limit


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ((MEMORY,), 64, "not enough arguments."),
        ((MEMORY, "absolute", "1", "2"), 64, "too many arguments."),
        ((MEMORY, "x"), 65, "Bad argument."),
        ((MEMORY, "relative", "0.4"), 65, "Bad argument."),
        ((MEMORY, "absolute", "x"), 65, "Bad argument."),
        ((MEMORY, "1.5"), 65, "Bad argument: The threshold should be a fraction between 0.0 and 1.0"),
        ((DISK, "x"), 65, "Bad argument."),
        ((DISK, "0.5"), 65, "Bad argument."),
        ((DISK, "100TB"), 65, "Bad argument."),
        ((DISK, "mem_relative", "x"), 65, "Bad argument."),
    ],
)
async def test_what_is_no_limit(monkeypatch, capsys, autojump_clock, words, code, text):
    async with open_ctl(monkeypatch, capsys) as (hall, ctl):
        done = await ctl(*words)
        assert (done.code, done.out) == (code, "")
        assert done.err.startswith(f"Error (argument validation): {text}\nArguments given:\n\t{' '.join(words)}\n")
        assert (hall.alarms.limits.memory, hall.alarms.limits.disk_free) == (0.4, 50_000_000)
