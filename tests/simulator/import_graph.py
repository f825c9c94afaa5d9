"""Which module imports which, read from the source: imports under ``TYPE_CHECKING`` and inside functions count."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, set[str]]


def modules_under(root: Path, package: str) -> dict[str, Path]:
    """Every module of a package below a source root, by its import name."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """The modules that each of them imports, among those given."""
    return {name: set(_imported(name, path, modules)) - {name} for name, path in modules.items()}


def _imported(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*base, source]).rstrip(".")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                target = inner if inner in modules else source
                if target in modules:
                    yield target


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that all reach each other, each sorted (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return sorted(found)


def joined(graph: Graph, rooms: Iterable[str]) -> dict[str, set[str]]:
    """The same graph with modules replaced by the room (a package prefix) that they belong to."""
    rooms = list(rooms)

    def room_of(name: str) -> str | None:
        return next((room for room in rooms if name == room or name.startswith(room + ".")), None)

    result: dict[str, set[str]] = {room: set() for room in rooms}
    for name, others in graph.items():
        room = room_of(name)
        if room is not None:
            result[room] |= {other for each in others if (other := room_of(each)) not in (None, room)}
    return result
