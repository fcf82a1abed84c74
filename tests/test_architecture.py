"""Rules of the architecture that import-linter cannot state: doors, machines, sizes, no accidental order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BROKER = sorted((ROOT / "broker").rglob("*.py"))
ALL = sorted([*BROKER, *(ROOT / "kops").rglob("*.py"), *(ROOT / "tui").rglob("*.py")])

DOORS = {"time", "random", "uuid", "socket", "threading", "secrets", "subprocess", "concurrent"}
TYPES_ONLY = {("uuid", "UUID"), ("random", "Random")}
UNORDERED = {"TaskGroup", "as_completed"}
MACHINES = (
    *(f"broker/controller/{name}.py" for name in ("machine", "state", "transitions", "leader_election", "deletion")),
    *(f"broker/coordinator/{name}.py" for name in ("group", "group_state", "group_records", "offsets")),
    *(f"broker/replication/{name}.py" for name in ("partition", "follower")),
    "broker/zk/session.py",
    *(f"broker/zookeeper/{name}.py" for name in ("tree", "watches", "sessions")),
)


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text())


def imports(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """(module, name or None) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name


@pytest.mark.parametrize("name", [each for each in named(BROKER) if not each.startswith("broker/host/")])
def test_what_differs_between_a_real_machine_and_a_simulated_one_enters_through_host(name: str) -> None:
    tree = parsed(name)
    through_the_wall = [
        (module, imported)
        for module, imported in imports(tree)
        if module.partition(".")[0] in DOORS and (module, imported) not in TYPES_ONLY
    ]
    assert through_the_wall == []
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "open"]
    assert not [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "to_thread"]


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_knows_neither_asyncio_nor_the_doors(name: str) -> None:
    modules = {module for module, _ in imports(parsed(name))}
    assert not {module for module in modules if module == "asyncio" or module.startswith("broker.host")}


@pytest.mark.parametrize("name", named(BROKER))
def test_nothing_waits_for_tasks_in_an_order_that_depends_on_addresses(name: str) -> None:
    tree = parsed(name)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & UNORDERED


@pytest.mark.parametrize("name", named(ALL))
def test_files_and_functions_are_of_a_size_to_feel_at_home_in(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 70, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("name", named(ALL))
def test_every_module_says_what_it_is_for(name: str) -> None:
    tree = parsed(name)
    assert ast.get_docstring(tree) or not tree.body
