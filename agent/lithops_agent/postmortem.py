"""Runs one call of a job again, in a terminal, and stops in the debugger where it fails.

``python -m lithops_agent.postmortem FUNCTION DATA [SOURCES]``: the paths of the pickled function, of the
pickled arguments, and of a JSON object with the sources that the coordinator has and this machine lacks.
Only the standard library and cloudpickle are imported here: this file runs in the user's interpreter.
The exit code is 0 when the call does not fail this time, else 1.
"""

from __future__ import annotations

import json
import linecache
import os
import pdb
import pickle
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

_SHOWN = 2000
"""Characters of a result that are shown."""


def main(arguments: Sequence[str]) -> int:
    """Run the call; gives the exit code."""
    function_path, data_path, *rest = arguments
    if rest:
        with open(rest[0], encoding="utf-8") as file:
            lend_sources(json.load(file))
    try:
        function, (args, kwargs) = _load(function_path), _load(data_path)
    except Exception:  # noqa: BLE001 - unpickling runs the code of users' classes
        traceback.print_exc()
        print("\nThe function or its data can't be unpickled here, so the call never began.", file=sys.stderr)
        return 1
    try:
        result = function(*args, **kwargs)
    except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001 - the code is the user's
        return _stop(exc)
    print(f"It did not fail this time. It returned:\n{_shown(result)}")
    return 0


def lend_sources(sources: Mapping[str, str]) -> None:
    """Let tracebacks and the debugger show lines of files that are not on this machine."""
    for name, text in sources.items():
        if not os.path.exists(name):
            # Without a time, it is never looked for on the disk.
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def _stop(exc: BaseException) -> int:
    frames = _from_function(exc.__traceback__)
    print("".join(traceback.format_exception(type(exc), exc, frames)), end="", flush=True)
    if frames is not None:
        print("\nThe call stopped here. `up` and `down` go through its frames, `q` ends.", flush=True)
        pdb.post_mortem(frames)
    return 1


def _from_function(frames: TracebackType | None) -> TracebackType | None:
    """Without the frame of this file, unless there is no other."""
    return frames.tb_next if frames is not None and frames.tb_next is not None else frames


def _load(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def _shown(result: Any) -> str:
    try:
        text = repr(result)
    except Exception as exc:  # noqa: BLE001 - the code is the user's
        return f"(a {type(result).__qualname__} that can't be shown: {type(exc).__name__})"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} … ({len(text)} characters)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
