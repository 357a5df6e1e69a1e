"""How the data of a call become the arguments of a function.

The rules, which are those of Lithops:

- a tuple is spread; a dict goes by name; anything else is the one argument;
- a list is the one argument of a function that can be called with one, and is spread otherwise;
- a dict with ``args`` and ``kwargs`` expands into both, and so does one that names the ``*args`` or
  ``**kwargs`` of the function;
- a parameter named ``id`` gets the number of the call, unless a dict gives it;
- ``storage``, ``ibm_cos`` and ``rabbitmq`` are never taken by position.

The signature is read once a job, so that an item costs well below a microsecond in the common cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from lithops.errors import NotSupportedYet

if TYPE_CHECKING:
    import inspect

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
"""What a function is called with: positional and named arguments."""

_NOT_BY_POSITION = ("id", "storage", "ibm_cos", "rabbitmq")
_LATER = {
    "storage": "the Storage API",
    "ibm_cos": "a client of IBM Cloud Object Storage",
    "rabbitmq": "a RabbitMQ client",
    "obj": "reading objects",
}
_NO_NAMES: dict[str, Any] = {}


def items_of(iterdata: Any) -> Sequence[Any]:
    """The items of what was given to ``map``, each the data of one call.

    Whatever can be iterated is: lists, tuples, sets, ranges, generators. A text, bytes, a dict and
    what can't be iterated are one item.
    """
    if isinstance(iterdata, list):
        return iterdata
    if isinstance(iterdata, (str, bytes, bytearray, dict)) or not hasattr(iterdata, "__iter__"):
        return [iterdata]
    return list(iterdata)


def with_extra(item: Any, extra: Any) -> Any:
    """An item with the extra arguments of the job: appended by position, or merged by name.

    Raises:
        TypeError: the item goes by name and the extra arguments by position.
    """
    if extra is None or (isinstance(extra, (tuple, list, dict)) and not extra):
        return item
    by_name = isinstance(extra, dict)
    if not by_name and not isinstance(extra, (tuple, list)):
        raise TypeError(f"extra_args must be a tuple, a list or a dict, not {type(extra).__name__}")
    if isinstance(item, dict):
        if not by_name:
            raise TypeError("the data go by name, so extra_args must be a dict")
        return {**item, **extra}
    args = tuple(item) if isinstance(item, tuple) else (item,)
    if by_name:
        return {"args": args, "kwargs": dict(extra)}
    return (*args, *extra)


class Plan:
    """The signature of a function, ready to place the data of many calls."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        self._signature = _signature(function)
        parameters = list(self._signature.parameters.values()) if self._signature else []
        kinds = {kind: [p for p in parameters if p.kind.name == kind] for kind in _KINDS}
        self._var_args = _name_of(kinds["VAR_POSITIONAL"]) or (None if self._signature else "args")
        self._var_names = _name_of(kinds["VAR_KEYWORD"]) or (None if self._signature else "kwargs")
        named = kinds["POSITIONAL_OR_KEYWORD"] + kinds["KEYWORD_ONLY"]
        self._names = frozenset(p.name for p in named)
        self._reserved = [p for p in named if p.name in _NOT_BY_POSITION]
        self._reserved_names = frozenset(p.name for p in self._reserved)
        self._required = frozenset(p.name for p in named if _is_required(p)) - self._reserved_names
        by_place = kinds["POSITIONAL_ONLY"] + kinds["POSITIONAL_OR_KEYWORD"]
        places = [p for p in by_place if p.name not in self._reserved_names]
        self._least = sum(map(_is_required, places))
        self._most = len(places) if self._var_args is None else 1 << 30
        self._place_names = [p.name for p in places]
        # With nothing reserved and nothing required by name only, counting is binding.
        self._countable = not self._reserved and self._required <= {p.name for p in places}
        self._takes_one = self._least <= 1 <= self._most
        self._positional_only = bool(kinds["POSITIONAL_ONLY"])
        self._check_one_object = "obj" in self._names

    def bind(self, item: Any, number: int) -> Arguments:
        """Place the data of call ``number``.

        Raises:
            TypeError: by position there are too many or too few.
            ValueError: by name there are some that are missing or not known.
            NotSupportedYet: the function asks for something that can't be injected yet.
        """
        if isinstance(item, tuple):
            arguments = self._by_position(item, number)
        elif isinstance(item, dict):
            arguments = self._by_name(item, number)
        elif self._takes_one or not isinstance(item, list):
            if self._countable and self._takes_one and not self._check_one_object:
                return (item,), _NO_NAMES
            arguments = self._by_position((item,), number)
        else:
            arguments = self._by_position(tuple(item), number)
        if self._check_one_object:
            _refuse_object(arguments, self._place_names)
        return arguments

    def _by_position(self, args: tuple[Any, ...], number: int) -> Arguments:
        if not self._least <= len(args) <= self._most:
            raise TypeError(
                f"{self._name}() takes {self._places_text()} by position, but the data of call "
                f"{number} give {len(args)}"
            )
        if self._countable:
            return args, _NO_NAMES
        missing = self._required - set(self._place_names)
        if missing:
            raise TypeError(f"{self._name}() needs {_listed(missing)} by name: give the data as a dict")
        return self._with_reserved(args, {}, number)

    def _by_name(self, item: dict[str, Any], number: int) -> Arguments:
        args: tuple[Any, ...] = ()
        names: dict[str, Any] = item
        if self._expands(item):
            names = dict(item)
            args = tuple(names.pop(self._var_args or "args", None) or ())
            more = names.pop(self._var_names or "kwargs", None) or {}
            names = {**more, **names}
        self._check_names(args, names, number)
        if self._positional_only and not args:
            return self._call_arguments(args, names, number)
        if not self._reserved:
            return args, names
        return self._with_reserved(args, names, number)

    def _expands(self, item: Mapping[str, Any]) -> bool:
        keys = item.keys()
        if (self._var_args is not None and self._var_args in keys) or (
            self._var_names is not None and self._var_names in keys
        ):
            return True
        both = keys <= {"args", "kwargs"} and len(keys) > 0
        return both and not (keys & self._names)

    def _check_names(self, args: tuple[Any, ...], names: Mapping[str, Any], number: int) -> None:
        if self._signature is None:
            return
        known = self._names.union(self._place_names)
        missing = self._required - names.keys() - set(self._place_names[: len(args)])
        unknown = set() if self._var_names is not None else names.keys() - known
        if not missing and not unknown and len(args) <= self._most:
            return
        given = f"the data of call {number} give {_listed(names) or 'no names'}"
        wanted = f"{self._name}() needs {_listed(self._required) or 'no names'}"
        wrong = f"; missing: {_listed(missing)}" if missing else ""
        wrong += f"; not known: {_listed(unknown)}" if unknown else ""
        raise ValueError(
            f"check the names of the arguments: {given}, and {wanted}{wrong}. A dict goes by name; "
            "to pass one as the only argument, put it into a tuple: ({...},)"
        )

    def _with_reserved(self, args: tuple[Any, ...], names: Mapping[str, Any], number: int) -> Arguments:
        """Place arguments by name, as what is injected may stand before them, and add what is injected."""
        placed = dict(zip(self._place_names, args))
        placed.update(names)
        for parameter in self._reserved:
            if parameter.name == "id":
                placed.setdefault("id", number)
            elif parameter.name not in placed and _is_required(parameter):
                raise NotSupportedYet(
                    f"not supported yet: {self._name}() asks for the parameter '{parameter.name}', "
                    f"which stands for {_LATER[parameter.name]}"
                )
        return self._call_arguments(args[len(self._place_names) :], placed, number)

    def _call_arguments(self, rest: tuple[Any, ...], placed: dict[str, Any], number: int) -> Arguments:
        import inspect

        assert self._signature is not None
        known: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in placed.items():
            parameter = self._signature.parameters.get(name)
            variable = parameter is None or parameter.kind.name.startswith("VAR_")
            (others if variable else known)[name] = value
        if rest and self._var_args:
            known[self._var_args] = rest
        if others and self._var_names:
            known[self._var_names] = others
        ordered = {name: known[name] for name in self._signature.parameters if name in known}
        bound = inspect.BoundArguments(self._signature, ordered)
        return bound.args, bound.kwargs

    def _places_text(self) -> str:
        if self._most == self._least:
            return f"{self._most} argument{'s' * (self._most != 1)}"
        most = "or more" if self._var_args else f"to {self._most}"
        return f"{self._least} {most} arguments"


_KINDS = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD", "VAR_POSITIONAL", "KEYWORD_ONLY", "VAR_KEYWORD")


def _signature(function: Callable[..., Any]) -> Optional[inspect.Signature]:
    import inspect

    try:
        return inspect.signature(function)
    except ValueError:
        return None  # Some built-in functions, such as max, have none that can be read.


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def _name_of(parameters: list[inspect.Parameter]) -> Optional[str]:
    return parameters[0].name if parameters else None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(str, names)))


def _refuse_object(arguments: Arguments, places: Sequence[str]) -> None:
    args, names = arguments
    value = names["obj"] if "obj" in names else dict(zip(places, args)).get("obj")
    if type(value) is str and "://" in value:
        raise NotSupportedYet(
            f"not supported yet: {_LATER['obj']} through the parameter 'obj' ({value}). "
            "Give the parameter another name to get the text itself"
        )
