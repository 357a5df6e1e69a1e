"""What the configuration asks for, read: a list, a file, or what is installed here."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Union

from lithops.errors import ConfigError

LOCAL, LOCAL_IMPORTS = "local", "local-imports"
Form = Literal["list", "file", "lock", "local", "local-imports"]
_INCLUDE = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)")
_OTHER_LOCKS = {
    "poetry.lock": "poetry export",
    "Pipfile.lock": "pipenv requirements",
    "pdm.lock": "pdm export",
}


@dataclass(frozen=True)
class Requirements:
    """What is to be in the environment: lines of requirements, or the path of a file that has them.

    ``content`` is all that the result depends on beside registries and platform, so it names the result.
    """

    form: Form
    lines: tuple[str, ...] = ()
    path: str = ""
    content: str = ""

    def fingerprint(self) -> str:
        """The same for the same requirements."""
        return hashlib.sha256(f"{self.form}\n{self.content}".encode()).hexdigest()


def read_requirements(given: Union[Sequence[str], str]) -> Requirements:
    """Read the value of ``standalone.requirements``. Raises ConfigError for a file that can't be used."""
    if not isinstance(given, str):
        lines = normalised(given)
        return Requirements("list", lines=lines, content="\n".join(sorted(lines)))
    if given == LOCAL:
        return Requirements("local")
    if given == LOCAL_IMPORTS:
        return Requirements("local-imports")
    path = Path(os.path.expanduser(given)).resolve()
    if path.name in _OTHER_LOCKS:
        raise ConfigError(
            f"standalone.requirements: {path.name} can't be read here: write it as a requirements.txt "
            f"(`{_OTHER_LOCKS[path.name]}`), and name that"
        )
    return Requirements(
        "lock" if is_lock(path.name) else "file", path=str(path), content=_content(path, seen=set())
    )


def normalised(lines: Sequence[str]) -> tuple[str, ...]:
    """Requirements without comments, empty lines and spaces at the ends; in the order that was given."""
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
    return tuple(dict.fromkeys(line for line in stripped if line))


def is_lock(name: str) -> bool:
    """Whether a file has all versions already, by its name."""
    return name == "uv.lock" or is_pylock(name)


def is_pylock(name: str) -> bool:
    """Whether a file is a lock as of PEP 751, by its name."""
    return name == "pylock.toml" or (name.startswith("pylock.") and name.endswith(".toml"))


def _content(path: Path, seen: set[Path]) -> str:
    """The text of a file and of those that it includes."""
    if path in seen:
        return ""
    seen.add(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"standalone.requirements: the file {path} can't be read ({exc}). Name a requirements.txt, "
            f"a pyproject.toml or a lock file, `{LOCAL}`, or give a list of requirements"
        ) from exc
    included = [] if path.suffix == ".toml" else [_INCLUDE.match(line) for line in text.splitlines()]
    parts = [_content((path.parent / match[1]).resolve(), seen) for match in included if match]
    return "\n".join([text, *parts])
