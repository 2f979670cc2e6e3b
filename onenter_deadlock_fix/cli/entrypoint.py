"""Find out from a program's source whether it imports the shim, without executing or importing the program.

It reads the file that Python executes, and the modules that this imports, if they belong to the program: they are in
its folder, or in the package that ``-m`` or a console script names.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..environment.text import quoted

SHIM = "onenter_deadlock_fix"


class Unreadable(Exception):
    """The program can't be read; the message has the reason."""


class Import(NamedTuple):
    """The line that imports the shim, and whether it is certain to be executed with the program."""

    place: str
    is_certain: bool


class _Source(NamedTuple):
    name: str  # for people
    text: str | bytes
    package: str = ""  # the package that its relative imports start from


@dataclass(frozen=True)
class Program:
    """A program, given as the words of a command after the interpreter and its options.

    directory: the working directory of the command.
    path: where the interpreter finds modules, without the folder of the program.
    """

    words: Sequence[str]
    directory: str
    path: Sequence[str]

    @property
    def _file(self) -> Path | None:
        """The file of a script."""
        is_file = bool(self.words) and not self.words[0].startswith("-")
        return Path(self.directory, self.words[0]) if is_file else None

    @property
    def _folder(self) -> str:
        """The folder that Python puts first on ``sys.path``."""
        return os.path.dirname(os.path.realpath(self._file)) if self._file else self.directory

    def check_folder(self) -> None:
        """Raise ``Unreadable`` if the folder shadows livekit-agents or the shim, which the probe then has not found."""
        modules = _Modules(self._folder)
        for name in ("livekit.agents", SHIM):
            if modules.has(name):
                raise Unreadable(f"{quoted(self._folder)} has a {name} of its own, which comes first in the program")

    def find_import(self) -> Import | None:
        """Return where the program imports the shim, or None; raise ``Unreadable`` if that is unknown."""
        option, argument = [*self.words[:2], "", ""][:2]
        if self._file:
            source, packages = _read(self._file), set()
            if self._file.suffix != ".py":  # a console script
                packages = {name.split(".")[0] for name, _, _ in _imported(source)}
            return _search([source], _Modules(self._folder, self.path, packages))
        if option == "-c":
            return _search([_Source("the code after -c", argument)], _Modules(self._folder))
        if option == "-m":
            modules = _Modules(self._folder, self.path, {argument.split(".")[0]})
            sources = [*modules.sources(argument), *modules.sources(f"{argument}.__main__")]
            if not sources:
                raise Unreadable(f"no module {argument} is found")
            return _search(sources, modules)
        raise Unreadable("its program is read from standard input")


class _Modules:
    """Finds the modules of a program: in its folder, or in ``path`` if they belong to one of ``packages``."""

    def __init__(self, folder: str, path: Iterable[str] = (), packages: Collection[str] = ()) -> None:
        self._folder, self._path, self._packages = folder, path, packages

    def sources(self, name: str) -> list[_Source]:
        """Return the sources that an import of a dotted name executes, if they belong to the program."""
        first, sources, package = name.split(".")[0], [], ""
        folders = [self._folder, *(self._path if first in self._packages else ())]
        for part in name.split("."):
            file, folders = _locate(part, folders)
            inner = f"{package}.{part}" if package else part
            if file:
                sources.append(_read(file, inner if folders else package))
            package = inner
        return sources

    def has(self, name: str) -> bool:
        """Return whether the program's folder has a module or folder that is found under this name."""
        folders = [self._folder]
        for part in name.split("."):
            file, folders = _locate(part, folders)
            if file:
                return True
        return bool(folders)


def _search(sources: list[_Source], modules: _Modules) -> Import | None:
    pending, seen, uncertain = list(sources), {source.name for source in sources}, None
    while pending:
        source = pending.pop(0)
        for name, line, is_certain in _imported(source):
            if name.split(".")[0] == SHIM:
                found = Import(f"{source.name}, line {line}", is_certain)
                if is_certain:
                    return found
                uncertain = uncertain or found
            elif is_certain:
                new = [module for module in modules.sources(name) if module.name not in seen]
                seen.update(module.name for module in new)
                pending += new
    return uncertain


def _locate(name: str, folders: Iterable[str]) -> tuple[Path | None, list[str]]:
    """Return the file of a module, and the folders of its submodules if it is a package."""
    portions = []
    for folder in folders:
        package, module = Path(folder, name), Path(folder, f"{name}.py")
        if (package / "__init__.py").is_file():
            return package / "__init__.py", [str(package)]
        if module.is_file():
            return module, []
        portions += [str(package)] * package.is_dir()
    return None, portions


def _read(file: Path, package: str = "") -> _Source:
    here = Path.cwd()
    name = quoted(file.relative_to(here) if here in file.parents else file)
    try:
        if not file.is_file():  # reading a pipe would block
            raise Unreadable(f"{name} is not a file")
        return _Source(name, file.read_bytes(), package)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{name} can't be read: {getattr(error, 'strerror', error)}") from error


def _imported(source: _Source) -> Iterator[tuple[str, int, bool]]:
    """Yield the dotted name of each import, its line, and whether it is certain to be executed."""
    try:
        tree = ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise Unreadable(f"{source.name} can't be read as Python: {error}") from error
    for node, is_certain in _nodes(tree, True):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{_base(node, source.package)}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, node.lineno, is_certain


def _nodes(node: ast.AST, is_certain: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield the statements below a node, and whether they are certain to be executed if no statement fails."""
    yield node, is_certain
    if isinstance(node, ast.Try):
        certain: Sequence[ast.AST] = [*node.body, *node.finalbody]
    elif isinstance(node, (ast.Module, ast.With, ast.ClassDef)):
        certain = node.body
    else:
        certain = []
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield from _nodes(child, is_certain and child in certain)


def _base(node: ast.ImportFrom, package: str) -> str:
    """Return the dotted name that ``from ... import`` imports from, in a module of this package."""
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    return ".".join(filter(None, [*above, node.module]))
