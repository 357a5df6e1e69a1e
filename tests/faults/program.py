"""A program that uses the library, as a process that can be stopped and killed, and what it was told."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from tests.integration.support import environment, eventually

_ROOT = Path(__file__).parents[2]
_START = 60.0


@dataclasses.dataclass(frozen=True)
class End:
    """How a call ended: with a result of an execution, or with an error of this class."""

    execution: str = ""
    attempt: int = 0
    error: Optional[str] = None
    message: str = ""


class Program:
    """See `tests.faults.client`, which this runs."""

    def __init__(self, order: dict[str, Any], notes: Path, home: Path) -> None:
        self.order = order
        self.job = order.get("job", "")
        self.count = int(order["count"])
        self.name = str(order["program"])
        self.user = str(order["user"])
        notes.touch()
        self._attend(notes)
        self._output = notes.with_suffix(".output").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.client", json.dumps({**order, "notes": str(notes)})],
            cwd=_ROOT, env=environment(home), stdin=subprocess.DEVNULL,
            stdout=self._output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _attend(self, notes: Path) -> None:
        """Follow what it notes in a file."""
        self._notes = notes
        self._position = 0
        self._told: dict[int, list[float]] = {}
        self._ends: dict[int, End] = {}
        self._ended_at: Optional[float] = None

    # -- what is done to it --

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def submitted(self) -> Program:
        """Wait until its calls are submitted."""
        eventually(lambda: self._is_submitted() or self.has_ended(), "a job that is submitted", _START)
        assert self.job, self.output()
        return self

    def wait(self, seconds: float) -> None:
        """Wait until it has ended by itself, with what it was told of all calls."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            missing = sorted(set(range(self.count)) - self.told())
            raise AssertionError(f"after {seconds:g} s these calls hang: {missing[:20]}") from None
        assert status == 0, self.output()

    # -- what it was told --

    def has_ended(self) -> bool:
        """Whether all of its calls have ended, or the program itself."""
        self._read()
        return self._ended_at is not None or self._process.poll() is not None

    def told(self) -> set[int]:
        """The calls whose futures were told how they ended."""
        self._read()
        return set(self._told)

    def told_times(self) -> Counter[int]:
        """How often each future was told."""
        self._read()
        return Counter({number: len(moments) for number, moments in self._told.items()})

    def next_told(self, after: float, numbers: Optional[Iterable[int]] = None) -> Optional[float]:
        """When a future was first told after a moment; only those of some calls."""
        self._read()
        chosen = self._told if numbers is None else numbers
        moments = [at for number in chosen for at in self._told.get(number, ()) if at > after]
        return min(moments, default=None)

    def recovered(self, after: float, numbers: Iterable[int], seconds: float) -> float:
        """Wait until a future of one of these calls is told; how long after the moment that was."""
        mine = list(numbers)
        assert mine, "the fault met no call"
        eventually(lambda: self.next_told(after, mine) is not None, "a result after the fault", seconds)
        return (self.next_told(after, mine) or after) - after

    def ends(self) -> dict[int, End]:
        """How each call ended, once the program has asked."""
        self._read()
        return self._ends

    def output(self) -> str:
        """What it printed; the last of it."""
        self._output.flush()
        return Path(self._output.name).read_text()[-3000:]

    def _is_submitted(self) -> bool:
        self._read()
        return bool(self.job)

    def _read(self) -> None:
        with self._notes.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def _take(self, note: list[Any]) -> None:
        kind = note[0]
        if kind == "job":
            self.job = note[1]
        elif kind == "told":
            self._told.setdefault(note[1], []).append(note[2])
        elif kind == "result":
            self._ends[note[1]] = End(execution=note[2], attempt=int(note[3] or 0))
        elif kind == "error":
            self._ends[note[1]] = End(error=note[2], message=note[3])
        else:
            self._ended_at = note[1]
