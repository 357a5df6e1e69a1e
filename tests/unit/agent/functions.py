"""Functions that workers run in the tests; they are sent by value."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


def double(number: int) -> int:
    return 2 * number


def say(word: str) -> None:
    if word:
        print(word)


def speak(word: str) -> None:
    """Print in all ways that there are."""
    print("print", word)
    sys.stderr.write(f"stderr {word}\n")
    os.write(1, f"descriptor {word}\n".encode())
    libc = ctypes.CDLL(None)
    libc.puts(f"C {word}".encode())
    libc.fflush(None)
    subprocess.run(["/bin/echo", "child", word], check=True)
    if (pid := os.fork()) == 0:
        print("fork", word, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)


def say_and_leave(how: str) -> None:
    print("about to", how)
    leave(how)


def say_and_nap(word: str, seconds: float) -> None:
    print(word)
    time.sleep(seconds)


def say_and_die_at_first(marker: str) -> str:
    print("an attempt")
    return die_at_first(marker)


def say_and_wait(word: str, gate: str) -> None:
    """Say something, and more when there is a file."""
    print(word)
    while not os.path.exists(gate):
        time.sleep(0.005)
    print("then")


def who() -> int:
    return os.getpid()


def fail(message: str) -> None:
    raise ValueError(message)


def length(data: bytes) -> int:
    return len(data)


def make(size: int) -> bytes:
    return bytes(size)


class Stubborn(Exception):
    """Can't be pickled, and has no text."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raise_stubborn() -> None:
    raise Stubborn


class Asymmetric(Exception):
    """Can be pickled, and not be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def raise_asymmetric() -> None:
    raise Asymmetric("one", "two")


def return_lock() -> Any:
    return threading.Lock()


def leave(how: Any) -> int:
    """End the worker, or try to."""
    if how == "sys.exit":
        sys.exit("bye")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "segfault":
        ctypes.string_at(0)
    if how == "exit 3":
        print("these are my last words")
        os._exit(3)
    return os.getpid()


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1)


def die_at_first(marker: str) -> str:
    """Kill the worker, unless it was done before."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "not reached"


def die(marker: str) -> None:
    """Kill the worker, and leave a letter in a file each time."""
    with open(marker, "a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def kill_the_agent_if(it_shall: bool) -> str:
    """End the process that started this worker's zygote."""
    if it_shall:
        with open(f"/proc/{os.getppid()}/stat") as file:
            agent = int(file.read().rpartition(")")[2].split()[1])
        os.kill(agent, signal.SIGKILL)
        signal.pause()
    return "fine"


def wait_for(path: str, begun: str = "") -> str:
    """Return when a file appears."""
    if begun:
        Path(begun).write_text(str(os.getpid()))
    while not os.path.exists(path):
        time.sleep(0.002)
    return "it came"


def hang_with_child(begun: str) -> None:
    """Start a program that outlives this process if nobody ends it, and wait."""
    child = subprocess.Popen(["sleep", "300"])
    temporary = Path(f"{begun}.new")
    temporary.write_text(str(child.pid))
    temporary.rename(begun)
    child.wait()


def touch(path: str) -> str:
    Path(path).touch()
    return "done"


def surroundings() -> dict[str, Any]:
    names = ("LITHOPS_WORKER", "LITHOPS_WORKER_DEPTH", "LITHOPS_WORKER_SESSION", "EXTRA")
    return {"cwd": os.getcwd(), **{name: os.environ.get(name) for name in names}}


def shout(size: int, trimmed_to: int) -> int:
    """Print more than is kept; the size of what is kept."""
    for _ in range(size // 1000):
        print("x" * 999)
    sys.stdout.flush()
    deadline = time.monotonic() + 20
    while os.fstat(1).st_size > trimmed_to and time.monotonic() < deadline:
        time.sleep(0.01)
    return os.fstat(1).st_size


def close_outputs() -> str:
    sys.stdout.close()
    os.close(1)
    return "closed"


def nap(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def use_module() -> str:
    import shipped_along  # type: ignore[import-not-found]

    return str(shipped_along.NAME)
