"""How a call ended, as bytes."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from lithops_agent.outcome import BadResult, describe, dump
from tests.unit.agent import functions


@pytest.mark.parametrize("result", [1, 2.5, "text", b"bytes", True, None, 1j, [1, {"a": (2,)}]])
def test_a_result_comes_back(result: Any) -> None:
    assert pickle.loads(dump(result)) == result


def test_what_only_cloudpickle_can_pickle_comes_back() -> None:
    assert pickle.loads(dump(lambda number: number + 1))(2) == 3


def test_a_result_that_can_not_be_pickled_tells_why() -> None:
    with pytest.raises(BadResult, match="lock") as raised:
        dump(threading.Lock())
    assert isinstance(raised.value.reason, TypeError)


def caught(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except Exception as exc:  # noqa: BLE001 - whatever it was
        return exc
    raise AssertionError("it did not fail")


def account(exc: BaseException, skip: int = 1) -> dict[str, Any]:
    told: dict[str, Any] = pickle.loads(describe(exc, skip))
    return told


def test_an_account_has_the_text_and_the_exception() -> None:
    told = account(caught(functions.fail, "what is wrong"))
    assert (told["type"], told["message"]) == ("builtins.ValueError", "what is wrong")
    again = pickle.loads(told["exception"])
    assert (type(again), again.args) == (ValueError, ("what is wrong",))


def test_frames_of_the_worker_are_left_out() -> None:
    whole, cut, end = (account(caught(functions.fail, "x"), skip)["traceback"] for skip in (0, 1, 9))
    assert "in caught\n" in whole
    assert "in caught\n" not in cut
    assert "in fail\n" in cut
    assert "in fail\n" in end, "the last one stays"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (functions.raise_stubborn, "(its text can't be made: RuntimeError)"),
        (functions.raise_asymmetric, "one"),
    ],
)
def test_what_can_not_be_pickled_or_unpickled_is_told_as_text(function: Any, message: str) -> None:
    told = account(caught(function))
    assert told["message"] == message
    assert told["exception"] is None
    assert f"in {function.__name__}\n" in told["traceback"]
