"""Executors whose sessions run calls in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import pytest

from lithops import FunctionExecutor
from lithops.testing import INLINE, FakeSession, Script


class Bench:
    """Makes executors with fake sessions; ``sessions`` are those that were opened."""

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.how = INLINE
        self.script: Optional[Script] = None
        self.options: dict[str, Any] = {}

    @property
    def session(self) -> FakeSession:
        """The session that was opened last."""
        return self.sessions[-1]

    def open(self, settings: object, executor_id: str) -> FakeSession:
        self.sessions.append(FakeSession(self.how, self.script, **self.options))
        return self.sessions[-1]

    def executor(
        self, how: str = INLINE, script: Optional[Script] = None, **lithops: Any
    ) -> FunctionExecutor:
        """An executor; ``how`` its session runs calls, and keys of the section ``lithops``."""
        self.how, self.script = how, script
        return FunctionExecutor(config={"lithops": lithops})


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(FunctionExecutor, "_session_factory", staticmethod(made.open))
    monkeypatch.setattr(FunctionExecutor, "_set_up_logs", lambda self, level: None)
    return made


@pytest.fixture
def fexec(bench: Bench) -> FunctionExecutor:
    return bench.executor()


@pytest.fixture
def nested(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have functions believe that they run in a worker, so that they need no configuration."""
    monkeypatch.setenv("LITHOPS_WORKER", "1")
    return lambda: None
