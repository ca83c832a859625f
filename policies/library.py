"""The ready-made policies that come with the package, by name.

Decides how they are found and read; a test validates each. It must not know where they are applied. YAML is
imported only when somebody asks, since nodes get their policies from the shared tree.
"""

from importlib.resources import files
from typing import Any


def ready_made_names() -> list[str]:
    """The names, sorted."""
    folder = files("policies").joinpath("ready_made")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def ready_made(name: str) -> dict[str, Any]:
    """The fields of a ready-made policy with RabbitMQ's names, without a vhost. Raises KeyError for an unknown name."""
    if name not in ready_made_names():
        raise KeyError(name)
    import yaml

    text = files("policies").joinpath("ready_made", f"{name}.yaml").read_text(encoding="utf-8")
    value: dict[str, Any] = yaml.safe_load(text)
    return value
