"""Reads a YAML file into plain values and remembers on which line each stands.

Decides how `${ENV:-default}` is filled in and how an error names its place. It must not know which keys there are.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from broker.node.configuration import ConfigurationError
from broker.node.configuration_fingerprint import VARIABLE

Place = tuple[str | int, ...]

_ENVIRONMENT = re.compile(VARIABLE)
_TRAP = re.compile(r"\[[0-9a-f]*:|\{.*\$\{")
# libyaml's loader is ten times as fast, where the wheel has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document:
    """One file that was read: its `value`, and what is wrong with it, place by place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = None
        self._lines: dict[Place, int] = {}
        self._problems: list[tuple[int, str]] = []

    @property
    def problems(self) -> list[str]:
        """One line each, `FILE:LINE: key: text`, in the order of the file."""
        return [text for _, text in sorted(self._problems, key=lambda problem: problem[0])]

    def complain(self, place: Place, text: str) -> None:
        """Notes that something is wrong at this place."""
        number = self._line(place)
        line = f":{number}" if number else ""
        key = f" {written(place)}:" if place else ""
        self._problems.append((number, f"{self.name}{line}:{key} {text}".replace("\n", " ")))

    def adopt(self, place: Place, problems: list[str]) -> None:
        """Notes what is wrong with another file that this place names."""
        self._problems += [(self._line(place), text) for text in problems]

    def check(self) -> None:
        """Raises ConfigurationError if anything is wrong."""
        if self._problems:
            raise ConfigurationError(self.problems)

    def _line(self, place: Place) -> int:
        """The line of the place, or of the nearest one around it that stands in the file; 0 without a file."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 0)

    def fill(self, loader: Any, root: yaml.Node) -> None:
        """Turns the syntax tree into values."""
        self.value = self._value(loader, root, (), ())

    def _value(self, loader: Any, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> Any:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if node in above:
            self.complain(place, "contains itself")
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, item, (*place, index), (*above, node)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, place, (*above, node))
        try:
            value = loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self.complain(place, f"{node.value!r} cannot be read: {str(error).splitlines()[0]}")
            return None
        return self._with_environment(value, place) if isinstance(value, str) else value

    def _mapping(
        self, loader: Any, node: yaml.MappingNode, place: Place, above: tuple[yaml.Node, ...]
    ) -> dict[Any, Any]:
        own: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in own:
                self._lines[*place, key.value] = line
                self.complain((*place, key.value), f"stands here a second time, the first is on line {own[key.value]}")
            own.setdefault(key.value, line)
        loader.flatten_mapping(node)
        values: dict[Any, Any] = {}
        for key, item in node.value:
            name = loader.construct_object(key) if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str | int | float | bool):
                self.complain(place, "has a key that is not a word")
                continue
            self._lines.setdefault((*place, str(name)), key.start_mark.line + 1)
            values[str(name)] = self._value(loader, item, (*place, str(name)), above)
        return values

    def _with_environment(self, text: str, place: Place) -> str:
        def found(match: re.Match[str]) -> str:
            name, default = match[1], match[3]
            # As in a shell, `:-` also replaces a variable that is set but empty.
            value = os.environ.get(name, "") or (default if match[2] else os.environ.get(name))
            if value is None:
                self.complain(place, f"${{{name}}}: this variable is not set: export it, or write ${{{name}:-default}}")
            return match[0] if value is None else value

        return _ENVIRONMENT.sub(found, text)


def read_document(path: Path, shown: str | None = None) -> Document:
    """Reads one YAML file; an empty one is an empty mapping. Raises ConfigurationError if it cannot be read at all."""
    name = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError([f"{name}: there is no such file"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from error
    document = Document(name)
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is not None:
                document.fill(loader, root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        hint = (
            " (a text that starts with [ or has ${…} within braces must stand in quotes)" if _TRAP.search(text) else ""
        )
        raise ConfigurationError([f"{name}{line}: is not YAML: {error.problem or error.context}{hint}"]) from error
    except yaml.YAMLError as error:
        raise ConfigurationError([f"{name}: is not YAML: {' '.join(str(error).split())}"]) from error
    if root is None:
        document.value = {}
    return document


def written(place: Place) -> str:
    """A place as people write it: `nodes[1].amqp`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
