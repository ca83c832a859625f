"""The house rules of ARCHITECTURE.md as a test: floors, purity, budgets, annotations, dead files, unwanted words.

It reads the source as text and as a syntax tree; it never runs a room.
"""

import ast
import gc
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from policies.library import ready_made, ready_made_names
from policies.validation import problems

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

PURE_ROOMS = (
    "broker/wire",
    "broker/amqp",
    "broker/routing",
    "broker/queues",
    "broker/cluster",
    "broker/mirroring",
    "policies",
)
# What looks outside: clock, disk, network, chance, threads and processes.
OUTSIDE = frozenset(
    {"asyncio", "multiprocessing", "os", "secrets", "select", "selectors", "shutil", "signal", "socket", "subprocess"}
    | {"tempfile", "threading", "time"}
)
# The parts of trio that reach the operating system; its tasks, events and its (replaceable) clock stay allowed.
TRIO_OUTSIDE = frozenset(
    {"Path", "from_thread", "open_file", "open_process", "open_signal_receiver", "open_ssl_over_tcp_stream"}
    | {"open_tcp_listeners", "open_tcp_stream", "open_unix_socket", "run_process", "serve_listeners", "serve_tcp"}
    | {"socket", "to_thread", "wrap_file"}
)
# DESIGN: only world/ touches the outside; these stand outside the simulated part.
DOORS_TO_OUTSIDE = ("broker/world/", "broker/cli/", "broker/perf/", "broker/management/", "broker/__main__.py")
# In node/ only the entry of the process and the reading of cluster.yaml may look out.
NODE_OUTSIDE = re.compile(r"broker/node/(process|entry|main|configuration\w*)(\.py|/)")
ENTRY_MODULES = frozenset(["broker.__main__", "broker.cli.entry"])
NAMELESS_FILES = frozenset(["base", "common", "helper", "helpers", "manager", "misc", "util", "utils"])
TEXT_SUFFIXES = frozenset(
    ["", ".cfg", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"]
)


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def inside(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


SOURCES = python_files("broker", "policies")
EVERYTHING = SOURCES + python_files("tests")


@cache
def tree_of(path: Path) -> ast.Module:
    gc.disable()  # there is no garbage in a tree, and looking for it takes four times as long as reading it
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    finally:
        gc.enable()


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of the tree but those under `if TYPE_CHECKING:`, which never run."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            continue
        yield child
        yield from runtime_nodes(child)


def imports_of(path: Path) -> Iterator[tuple[str, str | None, int]]:
    """(module, name taken from it or None, line) of every import that runs."""
    for node in runtime_nodes(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name, node.lineno


def attributes_of(path: Path, owner: str) -> Iterator[tuple[str, int]]:
    """(attribute, line) for every `owner.attribute` that runs."""
    for node in runtime_nodes(tree_of(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == owner:
            yield node.attr, node.lineno


def test_files_and_functions_keep_their_budgets() -> None:
    long_files = [
        f"{inside(path)}: {lines} lines (at most {FILE_LINES_MAX})"
        for path in EVERYTHING
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
    ]
    long_functions = [
        f"{inside(path)}:{node.lineno}: {node.name} has {lines} lines (at most {FUNCTION_LINES_MAX})"
        for path in EVERYTHING
        for node in functions_of(path)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long_files + long_functions


def test_every_function_is_annotated() -> None:
    bare = []
    for path in SOURCES:
        for node in functions_of(path):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra is not None]
            missing = [a.arg for a in arguments if a.annotation is None and a.arg not in {"self", "cls"}]
            if missing or node.returns is None:
                bare.append(f"{inside(path)}:{node.lineno}: {node.name}: {', '.join(missing) or 'return'}")
    assert not bare


def test_every_module_says_what_it_decides() -> None:
    assert not [inside(path) for path in SOURCES if tree_of(path).body and not ast.get_docstring(tree_of(path))]


def test_files_are_nouns_with_a_meaning() -> None:
    assert not [inside(path) for path in SOURCES if path.stem.strip("_") in NAMELESS_FILES]


def test_pure_rooms_never_look_outside() -> None:
    found = []
    for path in SOURCES:
        if not inside(path).startswith(PURE_ROOMS):
            continue
        for module, name, line in imports_of(path):
            if module.split(".")[0] in OUTSIDE | {"ssl", "trio"} or (
                module == "random" and name not in {None, "Random"}
            ):
                found.append(f"{inside(path)}:{line}: imports {module}")
        for attribute, line in attributes_of(path, "random"):
            if attribute != "Random":
                found.append(f"{inside(path)}:{line}: random.{attribute}: chance is handed in")
        for node in runtime_nodes(tree_of(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in {"open", "print", "input", "Random", "random.Random"} or called.endswith(
                    (".now", ".today", ".utcnow")
                ):
                    found.append(f"{inside(path)}:{node.lineno}: calls {called}")
    assert not found


def test_only_world_touches_the_outside() -> None:
    found = []
    for path in SOURCES:
        place = inside(path)
        if place.startswith(DOORS_TO_OUTSIDE) or NODE_OUTSIDE.match(place):
            continue
        for module, name, line in imports_of(path):
            parts = module.split(".")
            if parts[0] in OUTSIDE or (parts[0] == "random" and name not in {None, "Random"}):
                found.append(f"{place}:{line}: imports {module}")
            if parts[0] == "trio" and TRIO_OUTSIDE.intersection([*parts[1:], name]):
                found.append(f"{place}:{line}: imports {module} {name or ''}")
        found += [f"{place}:{line}: trio.{name}" for name, line in attributes_of(path, "trio") if name in TRIO_OUTSIDE]
        found += [
            f"{place}:{line}: trio.lowlevel.{name}"
            for name, line in attributes_of(path, "trio.lowlevel")
            if "wait_" in name
        ]
        found += [f"{place}:{line}: random.{name}" for name, line in attributes_of(path, "random") if name != "Random"]
        for node in runtime_nodes(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "print", "input"}:
                found.append(f"{place}:{node.lineno}: calls {ast.unparse(node.func)}")
    assert not found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_named_in(path: Path) -> set[str]:
    """What the file imports, also under TYPE_CHECKING, and the modules it names in a string to load them later."""
    named: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module)
            named.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"(broker|policies)[\w.]*(:\w+)?", node.value)
        ):
            named.add(node.value.partition(":")[0])
    return named - {module_name(path)}


def test_no_file_is_dead() -> None:
    """Every module can be reached from where a process begins; being imported by a test is not a life."""
    modules = {module_name(path): path for path in SOURCES}
    reached: set[str] = set()
    ahead = set(ENTRY_MODULES)
    while ahead:
        reached |= ahead
        ahead = {name for found in ahead for name in modules_named_in(modules[found]) if name in modules} - reached
    assert not sorted(inside(modules[name]) for name in set(modules) - reached if modules[name].name != "__init__.py")


def test_layers_hold() -> None:
    pytest.importorskip("importlinter", reason="the extra [quality] is not installed")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_ready_made_policy_is_valid() -> None:
    names = ready_made_names()
    assert "ha-all" in names
    assert {name: problems(ready_made(name)) for name in names} == {name: [] for name in names}


def texts() -> Iterator[Path]:
    """Every text that belongs to the repository; caches, data folders and the like do not."""
    for folder in ("broker", "policies", "tests", "docs", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix in TEXT_SUFFIXES:
                yield path
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and path.suffix in TEXT_SUFFIXES)


def test_no_text_names_the_place_where_it_was_written() -> None:
    places = ["/" + name + "/" for name in ("home", "root", "work")]
    found = []
    for path in texts():
        text = path.read_text(encoding="utf-8")
        found += [f"{inside(path)}: {place}" for place in places if place in text]
    assert not found


def test_nothing_is_left_for_later() -> None:
    # Words in two halves, so that this file does not find itself.
    later = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    unexplained = re.compile(r"# type: ig" + r"nore(?!\[[\w, -]+\][ \t]+# \S)")
    found, sources = [], set(SOURCES)
    for path in EVERYTHING:
        text = path.read_text(encoding="utf-8")
        wrong = [*later.finditer(text), *(unexplained.finditer(text) if path in sources else ())]
        found += [f"{inside(path)}:{text.count(chr(10), 0, one.start()) + 1}: {one[0]}" for one in wrong]
    assert not found
