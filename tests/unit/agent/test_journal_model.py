"""Any order of steps on a journal, against plain dictionaries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_agent.journal import Journal
from tests.unit.agent.journals import ended, job, results, small

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("add", "record", "forget", "release", "reopen")),
        st.sampled_from("ab"),
        st.lists(st.integers(0, 5), max_size=4),
    ),
    max_size=25,
)


class Model:
    """What a journal should hold, in plain dictionaries."""

    def __init__(self) -> None:
        self.waiting: dict[str, set[int]] = {}
        self.results: list[tuple[int, str, int]] = []
        self.seq = 0

    def add(self, name: str, some: list[int]) -> list[int]:
        here = self.waiting.setdefault(name, set())
        fresh = [n for n in dict.fromkeys(some) if n not in here and (name, n) not in self.ended()]
        here.update(fresh)
        return fresh

    def ended(self) -> set[tuple[str, int]]:
        return {(name, number) for _, name, number in self.results}

    def record(self, name: str, some: list[int]) -> None:
        for number in some:
            if number in self.waiting.get(name, ()):
                self.waiting[name].discard(number)
                self.seq += 1
                self.results.append((self.seq, name, number))

    def release(self, name: str) -> None:
        self.waiting.pop(name, None)
        self.results = [result for result in self.results if result[1] != name]


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_order_of_steps_gives_what_a_dictionary_gives(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal, model = Journal(folder), Model()
    for what, name, some in steps:
        if what == "add":
            journal.add_job(job(name))
            assert journal.add_calls(name, [small(number) for number in some]) == model.add(name, some)
        elif what == "record":
            journal.record([ended(number, name=name) for number in some])
            model.record(name, some)
        elif what == "forget" and name in model.waiting:
            journal.forget_calls(name, some)
            model.waiting[name].difference_update(some)
        elif what == "release":
            journal.release([name])
            model.release(name)
        elif what == "reopen":
            journal.close()
            journal = Journal(folder)
        assert [(r.seq, r.job, r.number) for r in results(journal)] == model.results
        assert {spec.job: set(found) for spec, found in journal.unfinished()} == {
            name: waiting for name, waiting in model.waiting.items() if waiting
        }
    journal.close()
