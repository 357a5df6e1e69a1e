"""Calls are handed to an agent, with what it lacks; without the threads of a host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lithops.backends.machine import Link
from lithops.dispatch.client import AgentClient
from lithops.dispatch.handover import Handover, Submission
from lithops.errors import HostDraining, HostError, HostLost
from lithops.future import ResponseFuture
from lithops.job.model import Job
from lithops.testing_agent import FakeAgent
from lithops.testing_machine import FakeMachine
from lithops_agent import protocol
from lithops_agent.protocol import Problem
from tests.unit.dispatch.conftest import Bench, blob

FUNCTION = b"the function"


class Hand:
    """A session whose threads wait for a host, and the agent of that host, reached in another way."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.agent: FakeAgent = bench.agent()
        self.session = bench.open(self.agent)
        bench.machines["a"].gate.clear()
        self.link: Link = FakeMachine("a", self.agent).open()
        self.client = AgentClient(self.link.opener, self.link.token, "a")
        self.released: list[str] = []
        self.over = Handover(self.session.hosts.runners["a"], self.released.append)

    def calls(self, count: int, data: object = None, job: Job | None = None) -> list[ResponseFuture]:
        return self.bench.submit(count, data=data, job=job)

    def give(self, futures: list[ResponseFuture]) -> Submission:
        wanted = Submission(futures[0].job_key, [future._number for future in futures])
        self.over.submit(self.client, self.link, wanted)
        return wanted

    def sent(self) -> list[bytes]:
        return self.agent.requests(protocol.SUBMIT)

    def has(self, futures: list[ResponseFuture]) -> bool:
        return all((future.job_key, future._number) in self.agent.calls for future in futures)

    def close(self) -> None:
        self.client.close()
        self.link.close()


@pytest.fixture
def hand(bench: Bench) -> Iterator[Hand]:
    made = Hand(bench)
    yield made
    made.close()


# ---- what goes along --------------------------------------------------------------------------------


def test_the_job_and_its_function_go_with_the_first_calls_only(hand: Hand) -> None:
    first = hand.calls(2)
    hand.give(first)
    more = hand.calls(1)
    hand.give(more)
    hand.give(first)
    assert hand.has(first + more)
    assert [FUNCTION in body for body in hand.sent()] == [True, False, False]
    assert [b'"session-' in body and b'"processes"' in body for body in hand.sent()] == [True, True, False]


def test_an_agent_is_asked_first_whether_it_has_what_is_large(hand: Hand) -> None:
    function = blob(bytes(100_000))
    hand.agent.blobs[function.sha256] = function.data
    futures = hand.calls(1, job=hand.bench.job(function=function))
    hand.give(futures)
    assert hand.has(futures)
    assert all(len(body) < 10_000 for body in hand.sent())
    assert len(hand.sent()) == 2


def test_what_is_large_and_not_there_is_sent(hand: Hand) -> None:
    function, modules = blob(bytes(100_000)), blob(b"modules")
    hand.agent.blobs[modules.sha256] = modules.data
    futures = hand.calls(1, job=hand.bench.job(function=function, modules=modules))
    hand.give(futures)
    assert hand.has(futures)
    assert hand.agent.blobs[function.sha256] == function.data
    assert len(hand.sent()[-1]) < 110_000


def test_calls_that_have_ended_are_left_out(hand: Hand) -> None:
    futures = hand.calls(3)
    hand.session.cancel(futures[:2])
    assert hand.give(futures).position == 3
    assert list(hand.agent.calls) == [(futures[2].job_key, 2)]
    hand.session.cancel(futures[2:])
    log = len(hand.agent.log)
    hand.give(futures)
    assert len(hand.agent.log) == log


def test_batches_end_with_the_call_that_reaches_a_limit(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lithops.dispatch.handover._BATCH_CALLS", 3)
    hand.give(hand.calls(7))
    assert len(hand.sent()) == 3
    monkeypatch.setattr("lithops.dispatch.handover._BATCH_BYTES", 2500)
    hand.give(hand.calls(6, data=bytes(1000)))
    assert len(hand.sent()) == 3 + 2


def test_futures_know_that_their_calls_are_sent(hand: Hand) -> None:
    futures = hand.calls(2)
    assert not any(future.invoked for future in futures)
    hand.give(futures)
    assert all(future.invoked for future in futures)


# ---- what the agent knows ---------------------------------------------------------------------------


def test_a_job_that_is_known_is_not_told_of(hand: Hand) -> None:
    futures = hand.calls(1)
    hand.give(futures)
    key = futures[0].job_key
    assert hand.over.forget_job(key)
    assert not hand.over.forget_job(key)
    hand.over.learned(key)
    assert hand.over.forget_job(key)


def test_another_agent_is_told_of_all(hand: Hand) -> None:
    futures = hand.calls(1)
    hand.give(futures)
    hand.over.forget_all()
    hand.give(futures)
    assert [FUNCTION in body for body in hand.sent()] == [True, True]


def test_it_is_said_when_a_job_was_released_meanwhile(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    futures = hand.calls(1)
    hand.give(futures)
    assert hand.released == []
    monkeypatch.setattr(hand.session, "is_released", lambda key: True)
    hand.give(futures)
    assert hand.released == [futures[0].job_key]


# ---- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Problem.MISSING_BLOBS, Problem.UNKNOWN_JOB])
def test_what_an_agent_forgot_is_sent_again(hand: Hand, kind: str) -> None:
    futures = hand.calls(2)
    hand.agent.refusals = [(409, {"type": kind, "detail": "gone"})] * 3
    assert hand.give(futures).position == 2
    assert hand.has(futures)
    assert all(FUNCTION in body for body in hand.sent())


def test_an_agent_that_forgets_again_and_again_is_believed_the_fourth_time(hand: Hand) -> None:
    futures = hand.calls(2)
    hand.agent.refusals = [(409, {"type": Problem.UNKNOWN_JOB, "detail": "gone"})] * 9
    assert hand.give(futures).position == 2
    assert len(hand.agent.refusals) == 5
    for future in futures:
        assert "gone" in str(hand.bench.error(future, HostError))


def test_the_batches_after_one_that_was_refused_are_sent(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lithops.dispatch.handover._BATCH_CALLS", 1)
    futures = hand.calls(3)
    hand.agent.refusals = [(500, {"type": Problem.INTERNAL, "detail": "KeyError"})]
    hand.give(futures)
    assert "KeyError" in str(hand.bench.error(futures[0], HostError))
    assert hand.has(futures[1:])


def test_an_agent_that_ends_takes_nothing(hand: Hand) -> None:
    futures = hand.calls(1)
    hand.agent.refusals = [(503, {"type": Problem.DRAINING, "detail": "the agent is ending"})]
    with pytest.raises(HostDraining) as caught:
        hand.give(futures)
    assert (caught.value.host, caught.value.phase) == ("a", "submit")
    assert not futures[0].done


def test_a_submission_goes_on_where_the_link_broke(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lithops.dispatch.handover._BATCH_CALLS", 1)
    futures = hand.calls(3)
    wanted = Submission(futures[0].job_key, [0, 1, 2])
    hand.over.submit(hand.client, hand.link, Submission(futures[0].job_key, []))
    hand.agent.cuts[protocol.SUBMIT.path] = ["", "after"]
    with pytest.raises(HostLost):
        hand.over.submit(hand.client, hand.link, wanted)
    assert wanted.position == 1
    hand.over.submit(hand.client, hand.link, wanted)
    assert wanted.position == 3
    assert hand.has(futures)
    assert len(hand.sent()) == 4
