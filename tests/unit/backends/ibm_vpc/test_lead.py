"""The head is told that it is needed for as long as it is."""

from __future__ import annotations

import queue
import threading
from typing import Any, cast

from lithops.backends.ibm_vpc.lead import LASTS, Lead
from lithops.backends.machine import Link
from lithops.errors import HostLost
from tests.unit.backends.ibm_vpc.conftest import FakeConnection

_WAIT = 10.0


def link(name: str) -> Link:
    nothing = cast(Any, None)
    return Link(host=name, agent_id=name, token="", runtime="", opener=nothing, close=lambda: None)


def ended(lead: Lead) -> bool:
    """Whether nothing is told any more, after a moment."""
    thread = lead._thread
    if thread is not None:
        thread.join(_WAIT)
    return lead._thread is None


def test_while_others_are_reached_through_it() -> None:
    told: queue.Queue[tuple[str, float]] = queue.Queue()
    lead = Lead(say=lambda head, name, seconds: told.put((head.host, seconds)), again=0.001)
    member = FakeConnection("member")
    lead.leads(link("head"))
    assert lead._thread is None, "alone, it is needed by nobody"
    lead.leans("member", member)
    assert [told.get(timeout=_WAIT) for _ in range(2)] == [("head", LASTS)] * 2
    lead.leads(link("other"))
    while told.get(timeout=_WAIT)[0] != "other":
        pass
    member.close()
    assert ended(lead)
    lead.leans("member", FakeConnection("member", is_alive=False))
    assert ended(lead)


def test_it_is_told_at_once_that_it_is_needed_no_longer() -> None:
    told: list[float] = []
    first = threading.Event()

    def say(head: Link, name: str, seconds: float) -> None:
        told.append(seconds)
        first.set()

    lead = Lead(say=say, again=_WAIT * 10)
    lead.release()
    lead.leads(link("head"))
    for _ in range(2):
        first.clear()
        lead.leans("member", FakeConnection("member"))
        assert first.wait(_WAIT)
        lead.release()
        assert ended(lead)
    assert told == [LASTS, 0.0] * 2


def test_a_head_that_does_not_answer_is_told_again() -> None:
    tries: queue.Queue[str] = queue.Queue()

    def say(head: Link, name: str, seconds: float) -> None:
        tries.put(head.host)
        raise HostLost("gone", host=head.host)

    lead = Lead(say=say, again=0.001)
    member = FakeConnection("member")
    lead.leads(link("head"))
    lead.leans("member", member)
    assert [tries.get(timeout=_WAIT) for _ in range(2)] == ["head", "head"]
    member.close()
    assert ended(lead)
