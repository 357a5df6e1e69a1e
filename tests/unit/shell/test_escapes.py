"""What is typed into a remote terminal, and the sequence that leaves it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.shell.escapes import Escapes


@pytest.mark.parametrize(
    ("typed", "sent", "over"),
    [
        (b"ls ~.\r", b"ls ~.\r", False),
        (b"~.", b"", True),
        (b"ls\r~.", b"ls\r", True),
        (b"ls\n~.", b"ls\n", True),
        (b"~~.", b"~.", False),
        (b"~x", b"~x", False),
        (b"~\r~.", b"~\r", True),
        (b"\x03~.", b"\x03~.", False),
        (b"", b"", False),
    ],
)
def test_only_at_the_beginning_of_a_line(typed: bytes, sent: bytes, over: bool) -> None:
    assert Escapes().feed(typed) == (sent, over)


@given(st.lists(st.sampled_from([b"~", b".", b"\r", b"a"]), max_size=12))
def test_however_the_keys_arrive_it_is_the_same(keys: list[bytes]) -> None:
    whole, piecewise = Escapes(), Escapes()
    expected, over = whole.feed(b"".join(keys))
    sent = b""
    for key in keys:
        some, ended = piecewise.feed(key)
        sent += some
        if ended:
            break
    assert (sent, ended if keys else False) == (expected, over)


@given(st.binary(max_size=40).filter(lambda typed: b"~" not in typed))
def test_everything_else_passes(typed: bytes) -> None:
    assert Escapes().feed(typed) == (typed, False)
