"""What a process knows of itself, also where the system tells little."""

import pytest

from broker.world import process


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ("VmRSS:\t3 kB\nRssAnon:\t 2 kB\nRssFile:\t1 kB\n", {"heap_and_stacks": 2048, "code_and_files": 1024}),
        ("VmRSS:\t3 kB\n", {"process": 5}),
        (None, {"process": 5}),
    ],
)
def test_memory_by_what_it_holds_as_far_as_the_system_tells(monkeypatch, tmp_path, told, parts):
    file = tmp_path / "status"
    if told is not None:
        file.write_text(told)
    monkeypatch.setattr(process, "_MEMORY_PARTS_FILE", file)
    monkeypatch.setattr(process, "resident_bytes", lambda: 5)
    assert process.memory_parts() == parts
