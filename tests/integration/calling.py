"""Functions of the tests of calls. They go by the name of this module, which needs nothing a host lacks."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lithops
from lithops.future import ResponseFuture
from lithops.futures_list import FuturesList


def add(x: int, y: int) -> int:
    return x + y


def double(x: int) -> int:
    return 2 * x


def total(results: list[int]) -> int:
    return sum(results)


def loosely(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides the signature of what it decorates."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@loosely
def minus(x: int, y: int = 1) -> int:
    return x - y


class Step:
    """A callable object, and a bound method."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, x: int) -> int:
        return x + self.step

    def back(self, x: int) -> int:
        return x - self.step


def with_id(x: int, id: int) -> tuple[int, int]:
    return x, id


def variable(name: str) -> str | None:
    return os.environ.get(name)


def own_map(count: int) -> tuple[str, list[tuple[int, str]]]:
    """Where this runs, and where the calls of an executor of its own run."""
    here = os.uname().nodename
    fexec = lithops.FunctionExecutor()
    fexec.map(lambda x: (x, os.uname().nodename), range(count))
    return here, fexec.get_result()


def futures_of_map(count: int) -> FuturesList:
    return lithops.FunctionExecutor().map(lambda x: x + 1, range(count))


def futures_of_map_reduce(count: int) -> FuturesList:
    return lithops.FunctionExecutor().map_reduce(double, range(count), total)


def future_of_call(x: int) -> ResponseFuture:
    return lithops.FunctionExecutor().call_async(double, x)


def future_of_future(x: int) -> ResponseFuture:
    return lithops.FunctionExecutor().call_async(future_of_call, x)


def work(megabytes: int, seconds: float) -> str:
    """Hold memory and a CPU for a while; tell the host."""
    held = bytearray(megabytes << 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        held[:] = held[::-1] if len(held) < 1 << 16 else held
    return os.uname().nodename


def note_and_sleep(path: str, seconds: float) -> str:
    """Leave the number of this process in a file, and stay."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)
    return path


def span(seconds: float) -> tuple[float, float]:
    """When this began, and when it ended."""
    began = time.time()
    time.sleep(seconds)
    return began, time.time()


def until_there(path: str) -> None:
    """Return when there is such a file."""
    while not os.path.exists(path):
        time.sleep(0.01)


def touch(path: str) -> None:
    Path(path).touch()


def attempt(path: str, good: int) -> int:
    """Count the attempts in a file; all but those from number ``good`` on never end by themselves."""
    with open(path, "a") as file:
        file.write("x")
    number = os.path.getsize(path)
    if number < good:
        time.sleep(600)
    return number


class Unaskable:
    """Can neither be compared, tested for truth nor shown, like some arrays and frames."""

    def __init__(self, data: object) -> None:
        self.data = data

    def _refuse(self, *others: object) -> Any:
        raise ValueError("the truth of this is nobody's business")

    __bool__ = __eq__ = __len__ = __repr__ = __str__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def unaskable(x: object) -> Unaskable:
    return Unaskable(x)


def data_of(value: Unaskable) -> object:
    return value.data


def is_none(value: object) -> bool:
    return value is None


def raises_unaskable(x: object) -> None:
    raise Contrary(Unaskable(x))


class Contrary(Exception):
    """Neither its text nor its truth can be had."""

    def _refuse(self, *others: object) -> Any:
        raise ValueError("not to be looked at")

    __bool__ = __str__ = __repr__ = _refuse


def raise_unpicklable() -> None:
    raise ValueError("holds a lock", threading.Lock())


def raise_broken() -> None:
    class Broken(Exception):
        def __reduce__(self) -> Any:
            raise RuntimeError("can't be pickled")

        def __str__(self) -> str:
            raise RuntimeError("has no text")

    raise Broken


class Refusal(Exception):
    """An exception with arguments of its own."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text, code)
        self.code = code


def refuse(text: str, code: int) -> None:
    try:
        os.environ["NO SUCH VARIABLE"]
    except KeyError as exc:
        raise Refusal(text, code) from exc


def os_release() -> str:
    """The names in the root of the file system that this runs in: those of an image tell it from a host."""
    return Path("/etc/os-release").read_text() if os.path.exists("/etc/os-release") else ""


def unchanged(x: bytes) -> bytes:
    return x


def identity(path: str) -> dict[str, Any]:
    """Who this is, and what it may do; leaves a file."""
    Path(path).touch()
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    Path.home().joinpath("written").touch()
    return {
        "uid": os.getuid(),
        "capabilities": status["CapEff"],
        "no_new_privileges": status["NoNewPrivs"] == "1",
        "home": str(Path.home()),
        "cwd": os.getcwd(),
    }


def environment(name: str) -> dict[str, str | None]:
    """A variable of this worker, and of the program that forked it, whose own is that of its start."""
    parent = Path(f"/proc/{os.getppid()}/environ").read_text().split("\0")
    began_with = dict(line.partition("=")[::2] for line in parent)
    return {"worker": os.environ.get(name), "zygote": began_with.get(name)}


def bytecode() -> dict[str, Any]:
    """Where the library of this worker was compiled, and where it would be now."""
    import socket

    assert socket.__spec__ is not None
    return {"from": socket.__spec__.cached, "prefix": sys.pycache_prefix}


def text_of(path: str) -> str:
    return Path(path).read_text()


def mounts() -> dict[str, str]:
    """What is mounted here, and whether it may be written: rw or ro."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return {line[1]: line[3].partition(",")[0] for line in lines}


def interfaces() -> list[str]:
    return sorted(os.listdir("/sys/class/net"))


def releases_of_own_map(count: int) -> list[str]:
    fexec = lithops.FunctionExecutor()
    fexec.map(lambda x: os_release(), range(count))
    releases: list[str] = fexec.get_result()
    return releases
