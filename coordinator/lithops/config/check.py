"""Check a section, as it was written, against its description in the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lithops.config.keys import Key, Section
from lithops.config.kinds import Problem, Refused, did_you_mean, shown

FindKey = Callable[[str], "Key | None"]


def check_section(
    section: Section,
    written: Mapping[object, object],
    path: str,
    *,
    find: FindKey,
    hint: Callable[[str], str],
) -> tuple[dict[str, Any], list[Problem]]:
    """Give the keys that are set, in normal form, and what is wrong with the others.

    `find` gives the key of a name, and `hint` completes the message about a name that has none. A secret,
    or a value that may be one because its key is unknown, is never part of a message.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in written.items():
        where = f"{path}.{str(name)[:60]}"
        key = find(name) if isinstance(name, str) else None
        if key is None:
            problems += _about_unknown(section, str(name), value, where, hint)
            continue
        if value is None and not key.nullable:
            continue
        try:
            taken = None if value is None else key.kind.take(value)
        except Refused as refused:
            problems += _about_refused(key, value, where, refused)
            continue
        if key.name in values and values[key.name] != taken:
            names = " and ".join(f"`{n}`" for n in (key.name, *key.aliases))
            problems.append(Problem(path=where, text=f"{names} are the same key and contradict each other"))
        values[key.name] = taken
    return values, problems + _about_choice(section, written, values, path)


def _about_unknown(
    section: Section, name: str, value: object, where: str, hint: Callable[[str], str]
) -> list[Problem]:
    if name not in section.reserved:
        return [Problem(path=where, text=f"unknown key{hint(name)}")]
    if value is None or value is False or value == []:  # Nothing is asked for, so nothing is missing.
        return []
    return [Problem(path=where, text="not supported yet: remove this key", not_yet=True)]


def _about_refused(key: Key, value: object, where: str, refused: Refused) -> list[Problem]:
    if refused.problems:
        return [Problem(path=where + p.path, text=p.text, not_yet=p.not_yet) for p in refused.problems]
    return [Problem(path=where, text=f"must be {key.kind.name}, not {shown(value, secret=key.secret)}")]


def _about_choice(
    section: Section, written: Mapping[object, object], values: Mapping[str, Any], path: str
) -> list[Problem]:
    both = [name for name in section.needs if name in values]
    problems = [
        Problem(path=f"{path}.{key.name}", text=f"missing: it must be {key.kind.name}")
        for key in section.keys
        if key.mandatory and written.get(key.name) is None  # One that was refused is told already.
    ]
    if len(both) > 1:
        names = " and ".join(f"`{name}`" for name in both)
        problems.append(
            Problem(path=f"{path}.{both[-1]}", text=f"{names} contradict each other: keep one of them")
        )
    return problems


def similar_key(section: Section) -> Callable[[str], str]:
    """Give the hint that looks for a key of the section with a similar name."""
    names = tuple(name for key in section.keys for name in (key.name, *key.aliases))
    return lambda name: did_you_mean(name, names)
