"""Read the OpenSSH client's configuration, ``~/.ssh/config``. Pure: text in, options out.

Our own reader rather than paramiko's, because that one fails on an ``Include`` and on any kind of
``Match`` that it does not know, and because reading must not cost the import of paramiko. As in
``ssh_config(5)`` the first value found wins. ``Match exec``, ``canonical`` and ``final`` never match
here, since nothing is run and no name is canonicalised.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Options = Mapping[str, tuple[str, ...]]
"""Keyword in lower case to its values: several for keywords that may be repeated, such as IdentityFile."""

ReadFiles = Callable[[str], Sequence[str]]
"""Gives the texts of the files that an Include's pattern names."""

_REPEATABLE = {"identityfile", "certificatefile"}
_MAX_INCLUDE_DEPTH = 16
_LINE = re.compile(r"\s*(\w+)\s*(?:=\s*|\s)\s*(.*?)\s*$")


@dataclass(frozen=True)
class Query:
    """What the ``Host`` and ``Match`` lines are compared with."""

    host: str
    user: str | None
    local_user: str


def lookup(text: str, query: Query, read_files: ReadFiles = lambda _: ()) -> Options:
    """The options that ``text`` gives for a host, by keyword in lower case."""
    found: dict[str, list[str]] = {}
    _apply(text, query, read_files, found, depth=0)
    return {key: tuple(values) for key, values in found.items()}


def _apply(text: str, query: Query, read: ReadFiles, found: dict[str, list[str]], depth: int) -> None:
    active = True
    for keyword, value in _lines(text):
        if keyword == "host":
            active = matches_patterns(query.host, _words(value))
        elif keyword == "match":
            active = _match_line(_words(value), query, found)
        elif not active:
            continue
        elif keyword == "include":
            patterns = _words(value) if depth < _MAX_INCLUDE_DEPTH else []
            for included in (text for pattern in patterns for text in read(pattern)):
                _apply(included, query, read, found, depth + 1)
        else:
            _store(found, keyword, _words(value))


def _store(found: dict[str, list[str]], keyword: str, words: list[str]) -> None:
    if keyword in _REPEATABLE:
        found.setdefault(keyword, []).extend(words[:1])
    elif keyword not in found and words:
        found[keyword] = words


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _LINE.match(line)
        if match:
            yield match[1].lower(), match[2]


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value, comments=True)
    except ValueError:
        # An unbalanced quote: OpenSSH would refuse the file; the words are the better guess for us.
        return value.split()


def matches_patterns(name: str, patterns: Sequence[str]) -> bool:
    """Whether ``name`` matches a list of patterns with ``*``, ``?`` and ``!``, as in ssh_config(5)."""
    hit = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if fnmatchcase(name.lower(), pattern.lstrip("!").replace("[", "[[]").lower()):
            if negated:
                return False
            hit = True
    return hit


def _match_line(words: list[str], query: Query, found: Mapping[str, list[str]]) -> bool:
    """Evaluate the criteria of one ``Match`` line; all of them have to hold."""
    rest = list(words)
    while rest:
        criterion = rest.pop(0).lower()
        negated = criterion.startswith("!")
        criterion = criterion.lstrip("!")
        if criterion == "all":
            holds = True
        else:
            patterns = rest.pop(0).split(",") if rest else []
            subject = _subject(criterion, query, found)
            holds = subject is not None and matches_patterns(subject, patterns)
        if holds == negated:
            return False
    return bool(words)


def _subject(criterion: str, query: Query, found: Mapping[str, list[str]]) -> str | None:
    if criterion == "host":
        return found.get("hostname", [query.host])[0].replace("%h", query.host)
    if criterion == "originalhost":
        return query.host
    if criterion == "user":
        return query.user or found.get("user", [query.local_user])[0]
    if criterion == "localuser":
        return query.local_user
    return None
