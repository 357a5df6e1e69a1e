"""A cloudpickle pickler that notes which modules a pickle refers to.

Imported only when something is pickled by cloudpickle, which takes 30 ms to import.
"""

from __future__ import annotations

from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import IO, Any
from weakref import WeakKeyDictionary

import cloudpickle

_CYTHON = "cython_function_or_method"
_NO_FILE = "<dynamic-code>"
_imports: WeakKeyDictionary[CodeType, frozenset[str]] = WeakKeyDictionary()
"""The modules that a piece of code imports: reading bytecode is slow, and code never changes."""


class Recorder(cloudpickle.Pickler):  # type: ignore[misc]
    """``modules`` are the top-level names of modules by which something was referred to, or that
    the code of a function that goes by value imports."""

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Called by pickle for every function, class, module and instance in what is pickled."""
        if isinstance(obj, ModuleType):
            self._note(obj.__name__)
        elif isinstance(obj, FunctionType):
            self.modules.update(imports_of(obj.__code__))
            self._note(obj.__module__)
        elif isinstance(obj, (type, BuiltinFunctionType)) or type(obj).__name__ == _CYTHON:
            self._note(obj.__module__)
        elif isinstance(obj, CodeType):
            return _reduce_code(obj)
        else:
            # Attributes of the object itself are not asked for: they may have effects.
            self._note(type(obj).__module__)
        return super().reducer_override(obj)

    def _note(self, name: Any) -> None:
        if isinstance(name, str):
            self.modules.add(name.partition(".")[0])


def _reduce_code(code: CodeType) -> Any:
    """As cloudpickle does it, but with the name of the file, by which a traceback tells where it was.

    Cloudpickle 3.1.2 and later put a placeholder in its place, so that pickles do not depend on it.
    """
    make, parts = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return make, tuple(code.co_filename if type(p) is str and p == _NO_FILE else p for p in parts)


def imports_of(code: CodeType) -> frozenset[str]:
    """The top-level modules that code imports when it runs, in inner functions too."""
    known = _imports.get(code)
    if known is None:
        known = _imports[code] = frozenset(_read_imports(code))
    return known


def _read_imports(code: CodeType) -> set[str]:
    import dis

    found = {
        str(step.argval).partition(".")[0]
        for step in dis.get_instructions(code)
        if step.opname in ("IMPORT_NAME", "LOAD_IMPORT") and step.argval
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _read_imports(constant)
    return found
