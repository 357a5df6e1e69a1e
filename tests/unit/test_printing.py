"""What calls print, cut into lines: each is shown once, with its call in front."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lithops.printing import Lines, Printer, call_prefix
from lithops_agent.protocol import Part

JOB = "5f2c-0-M000"


def part(text: bytes, begins: int = 0, number: int = 7) -> Part:
    return Part(JOB, number, begins, text)


def lines() -> Lines:
    return Lines(lambda job, number: f"{number}:")


def test_lines_are_shown_when_they_are_whole() -> None:
    heard = lines()
    assert heard.hear(part(b"one\ntw")) == ["7:one"]
    assert heard.hear(part(b"o\r\nthree", 6)) == ["7:two"]
    assert heard.seen(JOB) == {7: 14}
    assert heard.hear(part(b"one\ntwo\r\nthree\nfour"), is_all=True) == ["7:three", "7:four"]


def test_a_call_that_has_ended_is_not_shown_again() -> None:
    heard = lines()
    heard.hear(part(b"one\n"), is_all=True)
    assert heard.hear(part(b"one\n")) == heard.hear(part(b"one\n"), is_all=True) == []
    assert heard.hear(part(b"one\n", number=8)) == ["8:one"]


def test_what_is_missing_is_told() -> None:
    heard = lines()
    heard.hear(part(b"begin"))
    assert heard.hear(part(b"end\n", 105)) == ["7:… (100 bytes are missing)", "7:end"]


def test_a_line_without_an_end_is_shown_in_pieces() -> None:
    (line,) = lines().hear(part(b"x" * 70_000))
    assert line == "7:" + "x" * 70_000


def test_the_end_of_a_job_shows_what_is_left() -> None:
    heard = lines()
    heard.hear(part(b"cancelled in the mid"))
    assert heard.forget(JOB) == ["7:cancelled in the mid"]
    assert heard.seen(JOB) == {}


@given(st.lists(st.binary(max_size=8), max_size=8), st.lists(st.integers(0, 64), max_size=6))
def test_however_it_is_heard_the_text_is_the_same(words: list[bytes], looks: list[int]) -> None:
    text = b"\n".join(words)
    heard, told = lines(), []
    for look in sorted(looks):
        begins = min(heard.seen(JOB).get(7, 0), look)
        told += heard.hear(part(text[begins:look], begins))
    told += heard.hear(part(text), is_all=True)
    expected = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in text.split(b"\n")]
    if not text or text.endswith(b"\n"):
        expected.pop()
    assert told == [f"7:{line}" for line in expected]


def test_lines_of_a_call_come_with_its_name() -> None:
    assert call_prefix("5f2c9a61b3d0-0-M000", 17) == "[M000-00017] "
    told: list[str] = []
    printer = Printer(told.append)
    printer.show([part(b"one\ntwo\n"), part(b"never\n", number=8)], lambda job, number: number == 7)
    printer.show_all([part(b"one\ntwo\nthree")])
    printer.forget(JOB)
    assert told == ["[M000-00007] one\n[M000-00007] two\n", "[M000-00007] three\n"]
