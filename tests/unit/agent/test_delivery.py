"""Who polls for results and for what is printed: what they are told, and how long they wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lithops_agent import delivery as delivery_module
from lithops_agent.delivery import Delivery
from lithops_agent.journal import Ended, Page
from lithops_agent.protocol import Part
from tests.unit.agent import functions
from tests.unit.agent.pools import Workshop, within

LONG = 30.0
"""Seconds that nobody waits here to the end."""


@pytest.fixture
def delivery(shop: Workshop) -> Delivery:
    return Delivery(shop.journal, shop.pool)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that calls wait for."""
    return tmp_path / "gate"


def during(wait: Callable[[], Page], do: Callable[[], object]) -> tuple[Page, float]:
    """What is told to somebody who waits while something is done, and the seconds that it took."""
    found: list[Page] = []
    thread = threading.Thread(target=lambda: found.append(wait()))
    began = time.monotonic()
    thread.start()
    do()
    thread.join()
    return found[0], time.monotonic() - began


def test_who_waits_for_results_is_told_as_soon_as_there_are_any(
    shop: Workshop, delivery: Delivery, gate: Path
) -> None:
    shop.submit(functions.wait_for, [(str(gate),)])
    assert delivery.results("s", 0, 0.0)[0].records == []
    page, took = during(lambda: delivery.results("s", 0, LONG)[0], gate.touch)
    assert (len(page.records), page.cursor) == (1, 1)
    assert took < LONG / 2
    assert delivery.results("s", 1, 0.0)[0].records == []


def test_it_is_told_what_of_the_session_is_left_and_what_room_there_is(
    shop: Workshop, delivery: Delivery, gate: Path
) -> None:
    assert delivery.results("s", 0, 0.0)[1] == {"waiting": {}, "running": [], "free": 2}
    one = shop.submit(functions.wait_for, [(str(gate),)])
    assert delivery.results("s", 0, 0.0)[1] == {"waiting": {}, "running": [[one.job, 0]], "free": 1}
    two = shop.submit(functions.wait_for, [(str(gate),)] * 3, session="t")
    assert delivery.results("s", 0, 0.0)[1] == {"waiting": {}, "running": [[one.job, 0]], "free": 0}
    told = delivery.results("t", 0, 0.0)[1]
    assert told == {"waiting": {two.job: 2}, "running": [[two.job, 0]], "free": 0}
    gate.touch()
    shop.wait(one)
    shop.wait(two)


def test_a_session_has_heard_of_a_result_when_it_asks_for_the_next(
    shop: Workshop, delivery: Delivery
) -> None:
    job = shop.submit(functions.double, [(1,)])
    shop.wait(job)
    assert delivery.readers([job.job, "never heard of"]) == {"s"}
    assert not delivery.has_heard("s")
    page, _ = delivery.results("s", 0, 0.0)
    assert not delivery.has_heard("s")
    delivery.results("s", page.cursor, 0.0)
    assert delivery.has_heard("s")
    assert delivery.has_heard("a session without results")


def test_nobody_waits_any_more_once_it_is_closed(shop: Workshop, delivery: Delivery, gate: Path) -> None:
    job = shop.submit(functions.wait_for, [(str(gate),)])

    def end() -> None:
        delivery.close()
        shop.pool.stop()

    page, took = during(lambda: delivery.results("s", 0, LONG)[0], end)
    assert page.records == []
    delivery.results("s", 0, LONG)
    delivery.printed(job.job, 0, {}, LONG)
    assert took < LONG / 2


def test_sessions_are_forgotten_when_there_are_many(
    shop: Workshop, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_SESSIONS", 2)
    shop.wait(shop.submit(functions.double, [(1,)]))
    delivery.results("s", 1, 0.0)
    delivery.results("t", 0, 0.0)
    delivery.tidy()
    assert delivery.has_heard("s")
    delivery.results("u", 0, 0.0)
    delivery.tidy()
    assert not delivery.has_heard("s"), "it is noted again when it polls"


def test_what_a_call_prints_is_told_once_while_it_runs_and_when_it_has_ended(
    shop: Workshop, delivery: Delivery, gate: Path
) -> None:
    job = shop.submit(functions.say_and_wait, [("one", str(gate))])
    told, parts = delivery.printed(job.job, 0, {}, LONG)
    assert (told, parts) == ({"cursor": 0, "running": [0], "left": 1}, [Part(job.job, 0, 0, b"one\n")])
    told, parts = delivery.printed(job.job, 0, {0: 2}, 0.0)
    assert parts == [Part(job.job, 0, 2, b"e\n")]
    assert delivery.printed(job.job, 0, {0: 4}, 0.0)[1] == []
    gate.touch()
    shop.wait(job)
    told, parts = delivery.printed(job.job, 0, {0: 4}, LONG)
    assert (told, parts) == (
        {"cursor": 1, "running": [], "left": 0},
        [Part(job.job, 0, 0, b"one\nthen\n")],
    )
    within(10, lambda: delivery.printed(job.job, 1, {}, LONG)[1] == [], "the end of a job without more")


def test_what_a_call_printed_is_waited_for_until_it_is_in_the_journal(
    shop: Workshop, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended, so that it does not run any more, and it is not among those that are kept yet."""
    record, may_record = shop.journal.record, threading.Event()

    def record_later(ended: list[Ended]) -> None:
        assert may_record.wait(LONG)
        record(ended)

    monkeypatch.setattr(shop.journal, "record", record_later)
    job = shop.submit(functions.say, [("hello",)])
    within(10, lambda: shop.pool.pending(job.job) == 1)
    header, parts = delivery.printed(job.job, 0, {}, 0.0)
    assert (header["left"], header["running"], parts) == (1, [], [])
    may_record.set()
    header, parts = delivery.printed(job.job, 0, {}, LONG)
    assert [bytes(part.text) for part in parts] == [b"hello\n"]
    assert delivery.printed(job.job, header["cursor"], {}, 0.0)[0]["left"] == 0
