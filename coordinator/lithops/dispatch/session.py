"""Runs the jobs of one executor on its hosts: the loop around `Assignment`.

One `HostRunner` a host does the talking, in threads of its own; this object owns the state, under one
lock, and turns what the runners hear into events for `Assignment` and outcomes for futures.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lithops.backends.machine import Machine, Supply
from lithops.dispatch.activity import activity_of
from lithops.dispatch.assignment import Action, Assignment, GiveUp, Revoke, Send
from lithops.dispatch.awaited import Awaited
from lithops.dispatch.dismantling import end_all, not_ended
from lithops.dispatch.hosts import Hosts
from lithops.dispatch.jobs import Retention, SessionOptions
from lithops.dispatch.outcomes import cancelled, outcome_of
from lithops.dispatch.runner import HostRunner
from lithops.dispatch.searches import Searches
from lithops.errors import HostError, HostLost
from lithops.future import batch
from lithops.job.model import Activity, Job, Outcome
from lithops.state.ledger import Ledger, NoLedger
from lithops_agent.protocol import Part, ResultRecord

if TYPE_CHECKING:
    from lithops.future import ResponseFuture
    from lithops.state.spool import SpooledJob

logger = logging.getLogger(__name__)

_CANCEL_PATIENCE = 1.5
"""Seconds that closing waits for the hosts to have heard of cancelled calls."""
_NOTE_INTERVAL = 5.0
"""Seconds after which it is noted again when the agent of a host means to end."""


class RemoteSession:
    """See `lithops.job.model.Session`, which this implements."""

    def __init__(
        self,
        supply: Supply,
        session_id: str,
        options: SessionOptions,
        ledger: Ledger | NoLedger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.session_id = session_id
        self.options = options
        self._ledger = ledger or NoLedger()
        self._searches = Searches()
        self._retention = Retention()
        self._running: dict[str, int] = {}
        """How many calls each host runs, as it said last."""
        self._heard: dict[str, tuple[str, float]] = {}
        """The agent of each host, and when it was noted."""
        self._clock = clock
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._supply = supply
        self._assignment = Assignment(())
        self.awaited = Awaited(self._ledger, options.printer)
        self.hosts = Hosts(options.workers, lambda machine: HostRunner(machine, self))
        self._add(supply.machines(0))
        self.closing = False
        """Whether what is left to be said to the hosts is to be said at once."""
        self.closed = False

    # -- what an executor asks for --

    def submit(self, job: Job, calls: Sequence[tuple[ResponseFuture, bytes]]) -> None:
        """Run calls of a job."""
        if not calls:
            return
        key = calls[0][0].job_key
        with self.lock:
            self._add(self._supply.machines(self._assignment.unfinished + len(calls)))
            self.awaited.add(key, job, calls)
            self._retention.wanted(key)
            # On disk before it is under way: whoever dies now, another process can go on.
            numbered = [(future._number, payload) for future, payload in calls]
            self._ledger.submitted(key, job, calls[0][0]._info, numbered)
            self._wake_hosts()
            self._act(self._assignment.calls_added(key, [future._number for future, _ in calls]))
        if self.options.nested:
            # The function may return now, and its worker end before anything else is sent.
            self._deliver()

    def cancel(self, futures: Sequence[ResponseFuture]) -> None:
        """Withdraw or kill calls."""
        ended: list[tuple[ResponseFuture, Outcome]] = []
        with self.lock:
            chosen: dict[tuple[str, str], list[int]] = {}
            for future in futures:
                key, number = future.job_key, future._number
                host = self._assignment.host_of(key, number)
                found = self._end(key, number)
                if found is None:
                    continue
                ended.append((found, cancelled(found, host, "was cancelled")))
                if host is not None:
                    chosen.setdefault((host, key), []).append(number)
            for (host, key), numbers in chosen.items():
                self.hosts.runners[host].sender.cancel(key, numbers)
        self.awaited.tell(ended)

    def adopt(self, futures: Sequence[ResponseFuture], host: str) -> None:
        """Collect the results of futures that a function made on ``host``."""
        runner = self.hosts.runners.get(host)
        if runner is None:
            error = HostLost("the host is not one of this executor's", host=host)
            self.awaited.tell([(future, Outcome(ok=False, host=host, error=error)) for future in futures])
            return
        with self.lock:
            if runner.wake():
                self._assignment.host_wanted(host)
            runner.adopt(futures)

    def attach(self, jobs: Mapping[str, SpooledJob], futures: Mapping[str, Sequence[ResponseFuture]]) -> None:
        """Go on with jobs that an earlier process submitted; ``futures`` are to be told how they end."""
        with self.lock:
            self._ledger.resumed(list(jobs))
            for key, spooled in jobs.items():
                data = spooled.payloads
                mine = [(f, data[f._number]) for f in futures[key] if f._number in data]
                if mine:
                    self.awaited.add(key, spooled.job, mine)
                    self._assignment.calls_sought(key, [future._number for future, _ in mine])
            agents = self._ledger.agents()
            self._add(self._supply.named(agents.keys() - self.hosts.runners.keys()))
            for host, agent_id in agents.items():
                if host in self.hosts.runners:
                    self.hosts.runners[host].expect(agent_id)
            self._wake_hosts()
            asked = [runner for runner in self.hosts.runners.values() if runner.in_use]
            for key in jobs:
                if self.awaited.job(key) is not None:
                    self._searches.begin(key, [runner.name for runner in asked])
                    for runner in asked:
                        runner.sender.find(key)

    def job_seen(self, job_key: str) -> None:
        """The program has been told how all calls of a job ended."""
        with self.lock:
            if not self.options.keep_jobs:
                self._release(self._retention.seen(job_key))

    def activity(self) -> Activity:
        """What goes on at the hosts."""
        with self.lock:
            return activity_of(self.hosts.runners.values(), self._running)

    def dismantle(self) -> None:
        """End the agents of all hosts now. Calls that have not ended are cancelled.

        Raises:
            HostError: naming the hosts that did not confirm.
        """
        with self.lock:
            # Also those that an earlier session of this executor had.
            self._add(self._supply.named(self._ledger.agents().keys() - self.hosts.runners.keys()))
            ended = self._cancel_all()
            for name, runner in self.hosts.runners.items():
                runner.retire(HostLost("dismantled", host=name))
                self._assignment.host_lost(name)
        self.awaited.tell(ended)
        failures = end_all(self.hosts.runners.values())
        for name in self.hosts.runners.keys() - {error.host for error in failures}:
            self._ledger.host_ended(name)
        if failures:
            raise not_ended(failures)
        self._supply.end()

    def close(self) -> None:
        """Wait until the hosts have what was submitted, then stop this side; a second time, do nothing."""
        with self.lock:
            if self.closing:
                return
            self.closing = True
            self._release(self._retention.end())
            self.changed.notify_all()
        self._deliver()
        with self.lock:
            self.closed = True
            self.changed.notify_all()
        self._supply.leave()
        for runner in self.hosts.runners.values():
            runner.close()
        self._ledger.close()

    # -- what the runners tell --

    def host_ready(self, name: str, slots: int, *, empty: bool) -> None:
        """A host can take calls; ``empty``: it has not what it was given before."""
        with self.lock:
            self.hosts.worked(name)
            self._act(self._assignment.host_ready(name, slots, empty=empty))

    def host_failed(self, name: str, error: HostError) -> None:
        """A host can't be used, or is lost for good."""
        with self.lock:
            self.hosts.failed(name, error, time.monotonic())
            others = self.hosts.others_in_use(name)
            if others:
                logger.warning("%s; going on with %d other host(s)", error, others)
            self._act(self._assignment.host_lost(name))
            for key in self._searches.jobs():
                self.calls_found(name, key, [])

    def printed_came(self, parts: Sequence[Part]) -> None:
        """What calls printed whose results come next."""
        with self.lock:
            mine = self.awaited.printed(parts)
        if self.options.printer is not None:
            self.options.printer.show_all(mine)

    def results_came(self, name: str, came: Iterable[tuple[ResultRecord, bytes]]) -> None:
        """Results, with their bodies."""
        ended = []
        with self.lock:
            for record, body in came:
                state = self.awaited.job(record.job)
                if state is None:
                    continue
                future = self._end(record.job, record.number)
                if future is not None:
                    self._retention.grew(record.job, record.size)
                    job, printed = state.job, state.printed.pop(record.number, None)
                    outcome = outcome_of(record, body, name, job.function_name, job.timeout, printed)
                    ended.append((future, outcome))
        self.awaited.tell(ended)

    def calls_running(self, name: str, running: Collection[tuple[str, int]]) -> None:
        """These calls are being run by a host now."""
        now = self._clock()
        with self.lock:
            self._running[name] = len(running)
            found = self.awaited.futures(running)
        for future in found:
            future._on_running(now)

    def calls_sent(self, key: str, numbers: Iterable[int]) -> None:
        """These calls are on their way to a host."""
        now = self._clock()
        with self.lock:
            futures = self.awaited.futures((key, number) for number in numbers)
        with batch():
            for future in futures:
                future._on_submitted(now)

    def calls_refused(self, name: str, key: str, numbers: Iterable[int], error: HostError) -> None:
        """A host does not take these calls, and trying again is no use."""
        with self.lock:
            ended = [
                (future, Outcome(ok=False, host=name, error=error))
                for number in numbers
                if (future := self._end(key, number)) is not None
            ]
        self.awaited.tell(ended)

    def calls_without_room(self, name: str, key: str, numbers: Iterable[int], error: HostError) -> None:
        """The disk of a host has no room for these calls."""
        with self.lock:
            self.hosts.failed(name, error, time.monotonic())
            self._act(self._assignment.calls_refused(name, key, numbers))

    def load_reported(self, name: str, waiting: dict[str, int], free: int) -> None:
        """How many calls wait on a host, by job, and how many slots are free there."""
        with self.lock:
            self._act(self._assignment.load_reported(name, waiting, free))

    def calls_revoked(self, name: str, key: str, numbers: list[int]) -> None:
        """A host gave calls back."""
        with self.lock:
            self._act(self._assignment.calls_revoked(name, key, numbers))

    def sought(self, name: str) -> list[str]:
        """Jobs of an earlier process of which a host has not told yet what it has."""
        with self.lock:
            return self._searches.asked_of(name)

    def calls_found(self, name: str, key: str, numbers: list[int]) -> None:
        """A host has these calls of a job, or their results, and no others."""
        with self.lock:
            self._assignment.calls_found(name, key, numbers)
            if self._searches.told(key, name):
                self._act(self._assignment.search_ended(key))

    def host_heard(self, name: str, agent_id: str, ends_in: float | None) -> None:
        """An agent is there, and means to end in so many seconds; None: never."""
        with self.lock:
            now = self._clock()
            noted = self._heard.get(name)
            if noted is None or noted[0] != agent_id or now - noted[1] >= _NOTE_INTERVAL:
                self._heard[name] = (agent_id, now)
                self._ledger.host_used(name, agent_id, ends_in)

    def is_released(self, key: str) -> bool:
        """Whether nobody will ask for the results of a job."""
        with self.lock:
            return self._retention.is_released(key)

    def jobs_on(self, name: str) -> list[str]:
        """Jobs of which a host has calls that have no result."""
        with self.lock:
            return [key for key in self.awaited.jobs() if self._assignment.calls_on(name, key)]

    def owns(self, key: str) -> bool:
        """Whether a job is one of this executor's, ended or not."""
        return key.startswith(f"{self.session_id}-")

    def calls_on(self, name: str, key: str) -> list[int]:
        """The calls of a job that a host has and that have no result."""
        with self.lock:
            return self._assignment.calls_on(name, key)

    def has_work(self, name: str) -> bool:
        """Whether a host has calls of this session without a result."""
        return self._assignment.unfinished_on(name) > 0

    # -- inside --

    def _add(self, machines: Sequence[Machine]) -> None:
        for name in self.hosts.add(machines):
            self._assignment.host_added(name)

    def _wake_hosts(self) -> None:
        for name in self.hosts.wake(time.monotonic()):
            self._assignment.host_wanted(name)

    def _deliver(self) -> None:
        """Wait until the hosts have what was submitted, or those that have not were given up."""
        began_at = time.monotonic()
        with self.lock:
            self.changed.wait_for(lambda: not self._assignment.homeless, self.options.start_timeout)
        for runner in self.hosts.runners.values():
            patience = _CANCEL_PATIENCE if runner.sender.cancelling else self.options.start_timeout
            runner.drain(max(began_at + patience - time.monotonic(), 0.0))

    def _end(self, key: str, number: int) -> ResponseFuture | None:
        """Note that a call has ended; its future when it is the first time."""
        if not self._assignment.call_ended(key, number):
            return None
        return self.awaited.end(key, number)

    def _release(self, keys: Sequence[str]) -> None:
        """Nobody will ask for the results of these jobs: hosts may forget them."""
        if not keys:
            return
        self._ledger.released(keys)
        for key in keys:
            for runner in self.hosts.runners.values():
                runner.sender.job_done(key)

    def _cancel_all(self) -> list[tuple[ResponseFuture, Outcome]]:
        """Note that all calls have ended, because the hosts are dismantled."""
        ended = []
        for key, state in self.awaited.jobs().items():
            for number in list(state.futures):
                host = self._assignment.host_of(key, number)
                future = self._end(key, number)
                if future is not None:
                    ended.append((future, cancelled(future, host, "had not ended when dismantled")))
        return ended

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.hosts.runners[action.host].sender.submit(action.job, action.numbers)
            elif isinstance(action, Revoke):
                self.hosts.runners[action.host].sender.revoke(action.job, action.count)
            elif isinstance(action, GiveUp):
                self._give_up(action)
        self.changed.notify_all()

    def _give_up(self, action: GiveUp) -> None:
        error = self.hosts.why_none()
        if isinstance(error, HostLost):
            error = error.with_job(action.job)
        ended = []
        for number in action.numbers:
            future = self._end(action.job, number)
            if future is not None:
                ended.append((future, Outcome(ok=False, host=error.host, error=error)))
        self.awaited.tell(ended)
