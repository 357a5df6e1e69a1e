"""How often the calls of a job were begun, and whether they are begun again when a worker has died."""

from __future__ import annotations

from collections.abc import Iterable


class Attempts:
    """Of calls that were begun before; nothing is kept of all others.

    An attempt during which the agent was killed is not blamed on its call, and costs it no retry.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._excused: dict[int, int] = {}
        """How many of the attempts ended with the agent."""

    def of(self, numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """Each of these calls with the number of its next attempt; the first is 1."""
        attempt = self._next.get
        return tuple((number, attempt(number, 1)) for number in numbers)

    def resumed(self, number: int, attempt: int, excused: int) -> None:
        """An earlier agent left a call: its next attempt, and how many of the others ended with the agent."""
        self._next[number], self._excused[number] = attempt, excused

    def failed(self, number: int, retries: int) -> bool:
        """An attempt ended with its worker; whether there is another one, when so many may fail."""
        attempt = self._next.get(number, 1)
        if attempt - self._excused.get(number, 0) > retries:
            return False
        self._next[number] = attempt + 1
        return True

    def over(self, number: int) -> None:
        """A call has ended."""
        if self._next:
            self._next.pop(number, None)
            self._excused.pop(number, None)
