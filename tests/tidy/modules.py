"""Modules of a crate: no cycle between those of one folder, and no name twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import rust
from .rust import Path

# From a module to those that it names, with the place where it first does.
Graph = dict[str, dict[str, str]]


class Crate:
    """The modules of one crate, and what each names of the others."""

    def __init__(self, files: dict[str, str]):
        self.code = {path: rust.code(text) for path, text in rust.without_tests(files).items()}
        self.modules: set[Path] = set()
        for path in self.code:
            own = rust.module(path)
            self.modules.update(own[:length] for length in range(len(own) + 1))
        self.names: dict[Path, dict[str, Path]] = defaultdict(dict)
        for path, code in self.code.items():
            self.names[rust.module(path)].update(rust.re_exports(code))

    def absolute(self, own: Path, path: Path) -> Path | None:
        """The path from the root of the crate; None where it leads out of the crate."""
        first, rest = path[0], path[1:]
        if first == "crate":
            return rest
        if first == "self":
            return own + rest
        if first == "super":
            while rest and rest[0] == "super":
                own, rest = own[:-1], rest[1:]
            return own[:-1] + rest
        return own + path if own + (first,) in self.modules else None

    def home(self, path: Path, hops: int = 8) -> Path:
        """The module where the item of an absolute path is declared, through re-exports."""
        own: Path = ()
        for index, name in enumerate(path):
            if own + (name,) in self.modules:
                own += (name,)
                continue
            exported = self.names[own].get(name)
            target = exported and self.absolute(own, exported)
            if target and hops and target != path[:index + 1]:
                return self.home(target + path[index + 1:], hops - 1)
            break
        return own

    def graphs(self) -> dict[Path, Graph]:
        """For each folder, which of its modules names which. A folder's own file is no part of it: it declares the others,
        and holds what they share."""
        found: dict[Path, Graph] = defaultdict(lambda: defaultdict(dict))
        for file, code in sorted(self.code.items()):
            own = rust.module(file)
            for use in rust.uses(code):
                path = self.absolute(own, use.path)
                if path is None:
                    continue
                home = self.home(path)
                shared = next((at for at, (a, b) in enumerate(zip(own, home)) if a != b), None)
                if shared is not None:
                    found[own[:shared]][own[shared]].setdefault(home[shared], f"{file}:{use.line}")
        return found


def reached(graph: Graph, start: str) -> set[str]:
    """Every module that is named by `start`, or by one that is."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph.get(waiting.pop(), {}):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def rings(graph: Graph) -> list[set[str]]:
    """Sets of modules each of which reaches all others of its set."""
    reach = {name: reached(graph, name) for name in graph}
    found: list[set[str]] = []
    for name in sorted(graph):
        ring = {other for other in reach[name] if name in reach.get(other, ())}
        if ring and ring not in found:
            found.append(ring)
    return found


def cycles(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each cycle of a crate: the folder whose modules form it, and a text with the uses that it is made of."""
    for folder, graph in sorted(Crate(files).graphs().items()):
        for ring in rings(graph):
            edges = [f"  {one} names {other} in {place}" for one in sorted(ring)
                     for other, place in sorted(graph[one].items()) if other in ring]
            name = "::".join(("crate", *folder))
            yield name, "\n".join([f"a cycle in {name}: {', '.join(sorted(ring))}", *edges])


def repeated_names(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Names that several modules of a crate have, tests aside."""
    places: dict[str, list[str]] = defaultdict(list)
    modules = {rust.module(path) for path in rust.without_tests(files)}
    modules |= {own[:length] for own in modules for length in range(1, len(own))}
    for own in sorted(modules - {()}):
        places[own[-1]].append("::".join(own))
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield name, f"several modules are called {name}: {', '.join(found)}; name each for what only it is"
