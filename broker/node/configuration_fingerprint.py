"""Whether files still say what they said: a fingerprint of all that a cluster's configuration was read from.

Decides what belongs to it: the bytes of the file and of the files of policies that it names, and what the environment
has for the variables in them. It must not know YAML, nor what any of it means: it is asked before either is worth it.
"""

import os
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}"
"""`${ENV}` or `${ENV:-default}` in a text of a file."""

_VARIABLE = re.compile(VARIABLE.encode())


def fingerprint(sources: Iterable[Path]) -> str:
    """Of what these files say now, or of this folder without any; empty if one cannot be read."""
    read: list[object] = []
    for path in sources:
        try:
            text = path.read_bytes()
        except OSError:
            return ""
        variables = sorted({match[1] for match in _VARIABLE.finditer(text)})
        read.append((os.fsencode(path), text, [(name, os.environb.get(name)) for name in variables]))
    return sha256(repr(read or os.fsencode(Path.cwd())).encode()).hexdigest()


def sources_of(path: Path | None, value: dict[str, Any]) -> tuple[Path, ...]:
    """The file, and those of policies that it names."""
    if path is None:
        return ()
    entries = [entry for key in ("policies", "operator_policies") for entry in value.get(key) or ()]
    named = [folder_of(path) / Path(entry).expanduser() for entry in entries if isinstance(entry, str)]
    return (path.resolve(), *(file for file in named if file.is_file()))


def folder_of(path: Path | None) -> Path:
    """Where the paths in that file begin."""
    return Path.cwd() if path is None else path.resolve().parent
