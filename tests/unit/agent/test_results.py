"""The tables of results and of what was printed, alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_agent.database import Database
from lithops_agent.printed import Printed
from lithops_agent.protocol import RESULT, Part, Status
from lithops_agent.records import Ended, Page
from lithops_agent.results import Results
from tests.unit.agent.journals import LIMIT, STATS_BYTES, ended

NAMES = {1: "a", 2: "b"}


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Results]:
    db = Database(tmp_path / "journal.db")
    yield Results(db)
    db.close()


def in_file(number: int, file: str) -> Ended:
    return Ended("a", number, Status.SUCCESS, STATS_BYTES, 12, None, file)


def printing(number: int, begins: int, text: bytes) -> Ended:
    return ended(number)._replace(printed=Printed(begins, text))


def bodies(page: tuple[Page, bool]) -> list[bytes]:
    return page[0].bodies


def test_a_page_has_the_results_of_a_session_after_the_cursor(results: Results) -> None:
    results.add([(1, 7, ended(0, b"x")), (2, 8, ended(0, b"of another session")), (2, 7, ended(5, b"y"))])
    page, is_end = results.page(7, 0, LIMIT, NAMES)
    assert (page.cursor, page.jobs, page.bodies, is_end) == (3, ["a", "b"], [b"x", b"y"], True)
    assert [len(record) for record in page.records] == [RESULT.size] * 2
    assert results.page(7, 1, LIMIT, NAMES)[0].jobs == ["b"]
    assert results.page(7, 3, LIMIT, NAMES) == (Page(3, [], [], []), True)


def test_a_page_ends_when_its_limit_is_reached(results: Results) -> None:
    results.add((1, 7, ended(number, bytes(1000))) for number in range(5))
    page, is_end = results.page(7, 0, 2000, NAMES)
    assert (len(page.records), page.cursor, is_end) == (2, 2, False)
    page, is_end = results.page(7, 2, 10_000, NAMES)
    assert (len(page.records), page.cursor, is_end) == (3, 5, True)


def test_a_page_skips_jobs_without_a_name_but_not_too_many_of_their_results(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lithops_agent.results._SCAN", 3)
    results.add((9, 7, ended(number, b"released")) for number in range(4))
    results.add((1, 7, ended(number, b"here")) for number in range(4))
    page, is_end = results.page(7, 0, LIMIT, NAMES)
    assert (page.cursor, page.records, is_end) == (3, [], False)
    page, is_end = results.page(7, 3, LIMIT, NAMES)
    assert (page.cursor, page.bodies, is_end) == (8, [b"here"] * 4, True)


def test_a_result_in_a_file_has_no_body_in_its_page(results: Results) -> None:
    results.add([(1, 7, ended(0, b"x")), (1, 7, in_file(1, "/one"))])
    assert bodies(results.page(7, 0, LIMIT, NAMES)) == [b"x"]
    assert (results.file(1), results.file(2), results.file(3)) == (None, ("/one", 12), None)
    assert (results.file_of(1, 0), results.file_of(1, 1), results.file_of(1, 2)) == (None, "/one", None)
    assert results.files(1) == {"/one"}
    assert results.files(2) == set()


def test_what_was_printed_is_in_pages_and_told_by_job(results: Results) -> None:
    first, second, third = Part("a", 0, 4, b"one"), Part("b", 0, 0, b"two"), Part("a", 2, 0, b"three")
    results.add([(1, 7, printing(0, 4, b"one")), (2, 7, printing(0, 0, b"two"))])
    results.add([(1, 7, ended(1)), (1, 7, printing(2, 0, b"three"))])
    assert results.page(7, 0, LIMIT, NAMES)[0].printed == [first, second, third]
    assert results.printed(1, "a", 0, LIMIT) == (4, [first, third])
    assert results.printed(1, "a", 0, 3) == (1, [first])
    assert results.printed(1, "a", 1, 1) == (4, [third])
    assert results.printed(1, "a", 4, LIMIT) == (4, [])
    assert results.printed(2, "b", 0, LIMIT) == (2, [second])


def test_what_is_counted(results: Results) -> None:
    assert results.total(1) == (0, 0)
    results.add([(1, 7, ended(4, b"four")), (1, 7, in_file(6, "/six")), (2, 7, ended(5))])
    assert results.total(1) == (2, 16)
    assert results.between(1, 4, 5) == {4}
    assert results.between(1, 0, 10) == {4, 6}
    assert results.between(3, 0, 10) == set()
