"""What is installed here, as requirements: all of it, or what the script imports."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import sys
import sysconfig
import urllib.parse
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lithops.environment.requirements import Form, Requirements

_TOOLS = {"pip", "uv", "lithops-standalone"}
"""Not sent: hosts have what of this package a function needs, and nothing is installed there by functions."""


@dataclass(frozen=True)
class Installed:
    """A distribution that is installed here; ``folder`` is where its source is when that is on this machine,
    ``needs`` the names of those that it may need."""

    name: str
    version: str
    folder: str = ""
    needs: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """As a requirement of this very one."""
        if self.folder:
            return f"{self.name} @ {Path(self.folder).as_uri()}"
        return f"{self.name}=={self.version}"


def local_requirements(form: Form) -> Requirements:
    """What is installed for the interpreter that runs this; ``form`` is `local` or `local-imports`."""
    found = list(installed())
    if form == "local-imports":
        owners = importlib.metadata.packages_distributions()
        found = needed_by(imported(sys.modules), owners, found)
    lines = tuple(sorted(each.line for each in found))
    return Requirements(form, lines=lines, content="\n".join(lines))


def installed() -> Iterator[Installed]:
    """The distributions of this interpreter, but the tools; the first of each name counts, as for imports."""
    seen = set(_TOOLS)
    for each in importlib.metadata.distributions():
        name = canonical(each.metadata["Name"] or "")
        if name and name not in seen:
            seen.add(name)
            needs = tuple(needed_names(each.requires or ()))
            yield Installed(name, each.version, _folder(each.read_text("direct_url.json")), needs)


def canonical(name: str) -> str:
    """The name of a distribution as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_names(requires: Iterable[str]) -> Iterator[str]:
    """The names in requirements, without those of extras. Pure."""
    for line in requires:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
        if match and not re.search(r";.*\bextra\s*==", line):
            yield canonical(match[0])


def _folder(direct_url: str | None) -> str:
    """The folder, or wheel, on this machine that a distribution was installed from; '' for others."""
    try:
        url = str(json.loads(direct_url or "{}").get("url", ""))
    except ValueError:
        return ""
    parts = urllib.parse.urlsplit(url)
    path = urllib.parse.unquote(parts.path)
    return path if parts.scheme == "file" and Path(path).exists() else ""


# ---- what the script imports -----------------------------------------------------------------------


def needed_by(
    modules: Collection[str], owners: Mapping[str, Iterable[str]], found: Iterable[Installed]
) -> list[Installed]:
    """The distributions that top-level modules belong to, and all that these need. Pure."""
    known = {each.name: each for each in found}
    todo = [canonical(owner) for module in modules for owner in owners.get(module, ())]
    chosen: dict[str, Installed] = {}
    while todo:
        name = todo.pop()
        if name in known and name not in chosen:
            chosen[name] = known[name]
            todo += known[name].needs
    return list(chosen.values())


def imported(modules: Mapping[str, ModuleType]) -> set[str]:
    """The top-level modules that the script and its own modules import, anywhere in their sources.

    Where there is no script, as in a notebook: those that are imported now.
    """
    main = getattr(modules.get("__main__"), "__file__", None)
    if main is None:
        return {name.partition(".")[0] for name in modules}
    own = {str(Path(main).absolute())}
    own |= {str(file) for module in list(modules.values()) if (file := _own_file(module)) is not None}
    return {name for file in own for name in imports_in(_text(file))}


def imports_in(source: str) -> set[str]:
    """The top-level modules that a source imports. Pure."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _own_file(module: ModuleType) -> Path | None:
    """The source of a module that is the user's: neither of Python nor installed."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    path = Path(file).absolute()
    paths = sysconfig.get_paths()
    foreign = [Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    own_package = Path(__file__).parents[1]
    is_foreign = any(folder in path.parents for folder in [*foreign, own_package])
    return None if is_foreign or "site-packages" in path.parts or "dist-packages" in path.parts else path


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
