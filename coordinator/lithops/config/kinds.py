"""The kinds of value that a key of the configuration can have.

A kind takes a value as it was written and gives its normal form, or refuses it. Taking a normal form again
gives the same, which is what makes an expanded configuration acceptable everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

AUTO = "AUTO"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LOG_LEVELS: Mapping[str, int] = {
    "CRITICAL": 50,
    "FATAL": 50,
    "ERROR": 40,
    "WARNING": 30,
    "WARN": 30,
    "INFO": 20,
    "DEBUG": 10,
    "NOTSET": 0,
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, at `path` of the configuration."""

    path: str
    text: str
    not_yet: bool = False
    """What was asked for is known, and not supported yet."""


class Refused(Exception):
    """The value does not fit.

    Where its problems say more than the name of the kind does, they are given, with paths below that of
    the key.
    """

    def __init__(self, text: str = "", *, not_yet: bool = False, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(text)
        self.problems = problems or ((Problem(path="", text=text, not_yet=not_yet),) if text else ())


class Kind(Protocol):
    """What a value must be."""

    @property
    def name(self) -> str:
        """Completes "must be …"; the reference of the configuration shows it too."""
        ...

    def take(self, value: object) -> Any:
        """Give the normal form of `value`, or raise `Refused`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Text:
    """A string that is not empty."""

    name: str = "text"
    prefix: str = ""

    def take(self, value: object) -> str:
        if not isinstance(value, str) or not value.strip() or not value.startswith(self.prefix):
            raise Refused
        if "\0" in value:
            raise Refused("holds a NUL character")
        return value


@dataclass(frozen=True, kw_only=True)
class Flag:
    """True or False."""

    name: str = "true or false"

    def take(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise Refused
        return value


@dataclass(frozen=True, kw_only=True)
class FlagOrWord:
    """True, False, or one word that means more than True."""

    word: str

    @property
    def name(self) -> str:
        return f"true, false or `{self.word}`"

    def take(self, value: object) -> bool | str:
        if isinstance(value, bool) or value == self.word:
            return value if isinstance(value, bool) else self.word
        raise Refused


@dataclass(frozen=True, kw_only=True)
class Whole:
    """An integer; `True` is none."""

    minimum: int = 1
    maximum: int | None = None

    @property
    def name(self) -> str:
        if self.maximum is None:
            return f"an integer, {self.minimum} or more"
        return f"an integer from {self.minimum} to {self.maximum}"

    def take(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < self.minimum:
            raise Refused
        if self.maximum is not None and value > self.maximum:
            raise Refused
        return value


@dataclass(frozen=True, kw_only=True)
class Positive:
    """A finite number above 0, of which `False` may say that there is none."""

    or_false: bool = False

    @property
    def name(self) -> str:
        return "a number above 0, or false for none" if self.or_false else "a number above 0"

    def take(self, value: object) -> float | bool:
        if self.or_false and value is False:
            return False
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused
        if not math.isfinite(value) or value <= 0:
            raise Refused
        return value


@dataclass(frozen=True, kw_only=True)
class Names:
    """A list of strings."""

    name: str = "a list of names"

    def take(self, value: object) -> list[str]:
        if not isinstance(value, (list, tuple)):
            raise Refused
        if not all(isinstance(item, str) and item for item in value):
            raise Refused
        return list(value)


@dataclass(frozen=True, kw_only=True)
class Networks:
    """IP networks, one or a list; an address is the network of itself."""

    name: str = "a network such as `192.0.2.0/24`, or a list of them"

    def take(self, value: object) -> list[str]:
        import ipaddress

        written = [value] if isinstance(value, str) else value
        if not isinstance(written, (list, tuple)) or not written:
            raise Refused
        try:
            return [str(ipaddress.ip_network(str(each))) for each in written]
        except ValueError as exc:
            raise Refused(str(exc)) from None


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Numbers, 0 or more, by name."""

    name: str = "numbers by name"

    def take(self, value: object) -> dict[str, float]:
        if not isinstance(value, Mapping):
            raise Refused
        for each in value.values():
            if isinstance(each, bool) or not isinstance(each, (int, float)):
                raise Refused
            if not math.isfinite(each) or each < 0:
                raise Refused
        return {str(name): each for name, each in value.items()}


@dataclass(frozen=True, kw_only=True)
class Variables:
    """Variables of an environment: text by name. One without a value is to be taken from the script's."""

    name: str = "a section of variables, each with text or a number"

    def take(self, value: object) -> dict[str, str | None]:
        if not isinstance(value, Mapping):
            raise Refused
        problems = tuple(_about_variables(value))
        if problems:
            raise Refused(problems=problems)
        return {name: None if text is None else str(text) for name, text in value.items()}


def _about_variables(variables: Mapping[object, object]) -> Iterator[Problem]:
    """What is wrong with them. The values may be secrets, and are not repeated."""
    for name, value in variables.items():
        if not (isinstance(name, str) and _VARIABLE.fullmatch(name)):
            yield Problem(path="", text=f"{str(name)[:60]!r} can't be the name of a variable")
        elif isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
            text = f"must be text or a number, not {shown(value, secret=True)}: put it in quotes"
            yield Problem(path=f".{name}", text=text)
        elif "\0" in str(value):
            yield Problem(path=f".{name}", text="holds a NUL character")


@dataclass(frozen=True, kw_only=True)
class NamesOrText:
    """A list of strings, or one string that is not empty."""

    name: str

    def take(self, value: object) -> list[str] | str:
        return Text().take(value) if isinstance(value, str) else Names().take(value)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of a few names. The planned ones are known, and refused as such unless `takes_planned`."""

    names: tuple[str, ...]
    planned: tuple[str, ...] = ()
    takes_planned: bool = False

    @property
    def name(self) -> str:
        return " or ".join(f"`{name}`" for name in self.names)

    def take(self, value: object) -> str:
        if not isinstance(value, str):
            raise Refused
        if value in self.names or (self.takes_planned and value in self.planned):
            return value
        if value in self.planned:
            raise Refused(f"not supported yet: `{value}`; what is: {self.name}", not_yet=True)
        raise Refused(f"must be {self.name}, not {value[:60]!r}{did_you_mean(value, self.names)}")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """`AUTO` (in any case), or how many."""

    name: str = f"`{AUTO}` or an integer, 1 or more"

    def take(self, value: object) -> str | int:
        if isinstance(value, str) and value.upper() == AUTO:
            return AUTO
        return Whole().take(value)


@dataclass(frozen=True, kw_only=True)
class LogLevel:
    """A level of `logging` by name (in any case) or by number."""

    name: str = "`DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL` or a number"

    def take(self, value: object) -> str | int:
        if isinstance(value, str):
            if value.upper() not in LOG_LEVELS:
                raise Refused
            return value.upper()
        return Whole(minimum=0).take(value)


def shown(value: object, *, secret: bool) -> str:
    """Describe a refused value in a message: a secret by its type alone, text and numbers as they are."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false" if secret else str(value).lower()
    if isinstance(value, (int, float)):
        return "a number (put it in quotes)" if secret else repr(value)[:60]
    if isinstance(value, str):
        return "empty or unusable text" if secret else repr(value[:60])
    if isinstance(value, Mapping):
        return "a section of keys"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a {type(value).__name__}"


def did_you_mean(word: str, candidates: tuple[str, ...]) -> str:
    """Give `; did you mean …?` when a candidate is close, else nothing."""
    import difflib

    close = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""
