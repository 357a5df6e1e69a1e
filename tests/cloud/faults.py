"""Requests that go wrong on purpose."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

from .problems import Refused


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is done to a request instead of, or after, what it asks for.

    ``status`` answers with an error of this status; ``hang`` keeps the client waiting for so many seconds
    first, or until `Faults.release`; ``drop`` closes the connection without an answer. With ``after``, the
    request is carried out before: the client does not get to know.
    """

    status: int | None = None
    code: str = "internal_error"
    message: str = "injected by the test"
    retry_after: float | None = None
    hang: float = 0.0
    drop: bool = False
    after: bool = False

    def refusal(self) -> Refused:
        """The error that it answers with."""
        status = self.status or 500
        return Refused(status, self.code, self.message, retry_after=self.retry_after)


UNAUTHORIZED = Fault(status=401, code="not_authenticated")
FORBIDDEN = Fault(status=403, code="not_authorized")
NOT_FOUND = Fault(status=404, code="not_found")
CONFLICT = Fault(status=409, code="conflict_in_use")
TOO_MANY = Fault(status=429, code="rate_limited", retry_after=1)
SERVER_ERROR = Fault(status=500)
UNAVAILABLE = Fault(status=503, code="service_unavailable")
DROPPED = Fault(drop=True)
LOST_REPLY = Fault(drop=True, after=True)
SILENCE = Fault(hang=600.0, drop=True)
SILENCE_AFTER = Fault(hang=600.0, drop=True, after=True)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as it was, and how it ended: with a status, or None without an answer."""

    method: str
    path: str
    status: int | None


@dataclass(kw_only=True)
class _Plan:
    method: str
    pattern: re.Pattern[str]
    fault: Fault
    skip: int
    times: int

    def fits(self, method: str, path: str) -> bool:
        """Whether this request is one of those that go wrong; counts it."""
        if self.times <= 0 or self.method not in ("*", method) or not self.pattern.fullmatch(path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Faults:
    """Which requests go wrong, and a record of all requests."""

    calls: list[Call] = field(default_factory=list)
    _plans: list[_Plan] = field(default_factory=list)
    _released: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    begun: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request that has arrived, whether it is answered yet or not."""
    hanging: int = 0

    def inject(self, method: str, pattern: str, fault: Fault | int, times: int = 1, *, skip: int = 0) -> None:
        """Let the next ``times`` requests whose whole path fits go wrong, after ``skip`` that do not.

        Args:
            method: GET, POST …, or '*'.
            pattern: a regular expression of the path below /v1, such as '/instances/[^/]+'; '.*' for all;
                of the identity service, the path is /identity/token.
            fault: what goes wrong; a number is the status of an error.
        """
        wanted = fault if isinstance(fault, Fault) else Fault(status=fault)
        with self._changed:
            plan = _Plan(method=method, pattern=re.compile(pattern), fault=wanted, skip=skip, times=times)
            self._plans.append(plan)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._changed:
            self._plans.clear()

    def forget(self) -> None:
        """Let nothing go wrong any more, and no request have been made."""
        with self._changed:
            self._plans.clear()
            self.calls.clear()
            self.begun.clear()

    def begin(self, method: str, path: str) -> Fault | None:
        """Note that a request has arrived; what is to go wrong with it."""
        with self._changed:
            self.begun.append((method, path))
            self._changed.notify_all()
            # Each plan counts each request, so that the first that fits does not shift the others.
            hits = [plan.fault for plan in self._plans if plan.fits(method, path)]
            return hits[0] if hits else None

    def end(self, method: str, path: str, status: int | None) -> None:
        """Note how a request ended."""
        with self._changed:
            self.calls.append(Call(method=method, path=path, status=status))
            self._changed.notify_all()

    def hang(self, seconds: float) -> None:
        """Keep a request waiting."""
        with self._changed:
            self.hanging += 1
            self._changed.notify_all()
        self._released.wait(seconds)
        with self._changed:
            self.hanging -= 1

    def release(self) -> None:
        """Let all that hang go on, now and later."""
        self._released.set()

    def wait_hanging(self, timeout: float = 30) -> None:
        """Wait until a request hangs.

        Raises:
            TimeoutError: none did.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.hanging > 0, timeout):
                raise TimeoutError(f"no request hangs after {timeout:g} s; there were {self.begun[-20:]}")
