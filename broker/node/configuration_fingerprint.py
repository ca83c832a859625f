"""Whether a file still says what it said: a fingerprint of all that makes a cluster's configuration.

Decides what belongs to it: the file, the variables of the environment in it, the files of policies that it names. It
must not know what any of it means.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from broker.node.configuration import ConfigurationError
from broker.node.configuration_file import read_document


def fingerprint(path: Path | None, value: Any) -> str:
    """Of what was read from the file (None: there is none); empty if it cannot be told."""
    if not isinstance(value, dict):
        return ""
    folder = folder_of(path)
    named = [entry for key in ("policies", "operator_policies") for entry in _entries(value, key)]
    try:
        files = [read_document(file).value for name in named if (file := folder / Path(name).expanduser()).is_file()]
    except ConfigurationError:
        return ""
    whole = json.dumps([str(path and path.resolve()), str(folder), value, files], sort_keys=True, default=str)
    return sha256(whole.encode()).hexdigest()


def folder_of(path: Path | None) -> Path:
    """Where the paths in that file begin."""
    return Path.cwd() if path is None else path.resolve().parent


def _entries(value: dict[str, Any], key: str) -> list[str]:
    entries = value.get(key)
    return [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else []
