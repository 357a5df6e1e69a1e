"""Ask many hosts at the same time, and wait for none of them longer than for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, Union

from lithops.errors import HostError, HostTimeout
from lithops.ssh.deadline import Deadline

ANSWER_TIMEOUT = 7.0
"""Seconds that a host has for its answer, so that whoever asked knows more within ten."""


class Named(Protocol):
    """Whatever has the name of a host."""

    @property
    def name(self) -> str: ...


Host = TypeVar("Host", bound=Named)
Answer = TypeVar("Answer")


def ask_all(
    hosts: Sequence[Host], ask: Callable[[Host], Answer], timeout: float = ANSWER_TIMEOUT
) -> list[Union[Answer, HostError]]:
    """What ``ask`` gives for each host, in their order, or the error that it raises.

    A host that has not answered after ``timeout`` seconds is left alone with its thread.
    """
    answers: dict[int, Union[Answer, HostError]] = {}

    def work(place: int, host: Host) -> None:
        try:
            answers[place] = ask(host)
        except HostError as exc:
            answers[place] = exc
        except Exception as exc:  # noqa: BLE001 - the top of a thread: the error is the answer
            told = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
            error = HostError(f"an error that should not occur: {told}", host=host.name)
            error.__cause__ = exc
            answers[place] = error

    threads = [
        threading.Thread(target=work, args=(place, host), name=f"ask {host.name}", daemon=True)
        for place, host in enumerate(hosts)
    ]
    for thread in threads:
        thread.start()
    deadline = Deadline.after(timeout)
    for thread in threads:
        thread.join(deadline.remaining())
    return [
        answers.get(place, HostTimeout(f"it did not answer within {timeout:g} s", host=host.name))
        for place, host in enumerate(hosts)
    ]
