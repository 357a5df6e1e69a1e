"""Which hosts a session uses, when one that failed is tried again, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

import pytest

from lithops.backends.machine import Link
from lithops.dispatch.hosts import Hosts, shares
from lithops.errors import AuthenticationError, HostError, HostUnreachable


class Machine:
    """Nobody opens it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self) -> Link:
        raise NotImplementedError

    def find(self) -> Optional[Link]:
        raise NotImplementedError

    def dismantle(self, ask: Callable[[Link, str], None]) -> None:
        raise NotImplementedError


class Runner:
    """Is in use from when it is woken until it fails."""

    def __init__(self, machine: object) -> None:
        self.ready = False
        self.in_use = True
        self.woken = 0

    def wake(self) -> bool:
        again, self.in_use = not self.in_use, True
        self.woken += 1
        return again


def machines(names: str) -> list[Machine]:
    return [Machine(name) for name in names]


def made(names: str, workers: Optional[int] = None) -> Hosts[Runner]:
    hosts: Hosts[Runner] = Hosts(workers, Runner)
    hosts.add(machines(names))
    return hosts


def fail(hosts: Hosts[Runner], name: str, now: float, error: Optional[HostError] = None) -> None:
    hosts.runners[name].in_use = False
    hosts.failed(name, error or HostUnreachable("no route", host=name), now)


def test_each_machine_is_used_once() -> None:
    hosts = made("ab")
    runner = hosts.runners["a"]
    assert hosts.add(machines("acb")) == ["c"]
    assert list(hosts.runners) == ["a", "b", "c"]
    assert hosts.runners["a"] is runner


def test_who_goes_through_the_hosts_meanwhile_is_not_disturbed() -> None:
    hosts = made("ab")
    before = hosts.runners
    hosts.add(machines("c"))
    assert list(before) == ["a", "b"]


def test_there_are_no_more_hosts_than_workers() -> None:
    hosts = made("a", workers=3)
    assert hosts.most_on("a") == 3
    assert hosts.add(machines("bcde")) == ["b", "c"]
    assert [hosts.most_on(name) for name in "abcd"] == [1, 1, 1, None]


def test_without_a_number_of_workers_a_host_runs_as_many_calls_as_it_likes() -> None:
    assert made("a").most_on("a") is None


@pytest.mark.parametrize(
    ("hosts", "workers", "most"),
    [("", 3, []), ("a", 3, [3]), ("abc", 8, [3, 3, 2]), ("abc", 3, [1, 1, 1]), ("abc", 2, [1, 1, 0])],
)
def test_workers_are_shared_out(hosts: str, workers: int, most: list[int]) -> None:
    assert shares(hosts, workers) == dict(zip(hosts, most))


# ---- which are tried again --------------------------------------------------------------------------


def test_all_hosts_are_woken() -> None:
    hosts = made("ab")
    assert hosts.wake(0.0) == ["a", "b"]
    assert [runner.woken for runner in hosts.runners.values()] == [1, 1]


@pytest.mark.parametrize(("now", "again"), [(100.0, ["b"]), (159.9, ["b"]), (160.0, ["a", "b"])])
def test_one_that_failed_is_left_alone_for_a_minute_while_another_is_in_use(
    now: float, again: list[str]
) -> None:
    hosts = made("ab")
    fail(hosts, "a", 100.0)
    assert hosts.wake(now) == again
    assert hosts.runners["a"].in_use is ("a" in again)


def test_with_no_other_one_it_is_tried_at_once() -> None:
    hosts = made("ab")
    fail(hosts, "a", 100.0)
    fail(hosts, "b", 100.0)
    assert hosts.wake(100.0) == ["a", "b"]


def test_each_failure_counts_anew() -> None:
    hosts = made("ab")
    fail(hosts, "a", 100.0)
    assert hosts.wake(160.0) == ["a", "b"]
    fail(hosts, "a", 161.0)
    assert hosts.wake(220.9) == ["b"]
    assert hosts.wake(221.0) == ["a", "b"]


def test_one_that_is_full_stays_in_use_and_takes_no_calls_for_a_minute() -> None:
    hosts = made("ab")
    hosts.failed("a", HostError("the disk is full", host="a"), 100.0)
    assert hosts.wake(159.9) == ["b"]
    assert hosts.runners["a"].woken == 1
    assert hosts.wake(160.0) == ["a", "b"]


# ---- what is said of them ---------------------------------------------------------------------------


def test_the_others_are_those_that_are_in_use() -> None:
    hosts = made("abc")
    fail(hosts, "b", 0.0)
    assert [hosts.others_in_use(name) for name in "abc"] == [1, 2, 1]


def test_one_that_is_ready_is_enough() -> None:
    hosts = made("ab")
    assert not hosts.any_ready()
    hosts.runners["b"].ready = True
    assert hosts.any_ready()


def test_why_there_is_none() -> None:
    hosts = made("abc")
    assert str(hosts.why_none()) == "there is no host to run it on"
    first = HostUnreachable("no route to a", host="a")
    fail(hosts, "a", 0.0, first)
    assert hosts.why_none() is first
    fail(hosts, "b", 0.0, HostUnreachable("no route to b", host="b"))
    both = hosts.why_none()
    assert type(both) is HostUnreachable
    assert both.args[0].startswith("none of 2 hosts can be used:\n  ")
    assert "no route to a" in str(both)
    assert "no route to b" in str(both)
    fail(hosts, "c", 0.0, AuthenticationError("wrong key", host="c"))
    assert type(hosts.why_none()) is HostError


def test_the_errors_of_one_that_worked_since_are_forgotten() -> None:
    hosts = made("ab")
    fail(hosts, "a", 0.0)
    error = HostUnreachable("no route to b", host="b")
    fail(hosts, "b", 0.0, error)
    hosts.worked("a")
    assert hosts.why_none() is error
