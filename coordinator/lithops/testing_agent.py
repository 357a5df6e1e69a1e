"""A fake agent, for tests: it runs in this process, and its calls end as a test says."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any, Optional

from lithops.testing_server import Refusal, serve
from lithops_agent import protocol
from lithops_agent.protocol import Endpoint, JobSpec, Problem, ResultRecord

Answer = Callable[[str, int, bytes], "Optional[tuple[int, bytes]]"]
"""Gives status and body of a call by job, number and data, or None: `FakeAgent.finish` ends it later."""


class FakeAgent:
    """An agent in this process: the protocol over a loopback port, and calls that end as a test says.

    What a test may change: ``answer``; ``refusals``, taken in order by submissions, each an HTTP status and
    the keys of a problem; ``cuts``, by path how often the connection breaks, before the request is carried
    out (``"before"``) or after it (``"after"``). ``log`` has each request that was carried out.
    """

    def __init__(
        self,
        processes: int = 2,
        answer: Optional[Answer] = None,
        *,
        agent_id: str = "agent",
        token: str = "t",
    ) -> None:
        self.processes = processes
        self.answer: Answer = answer or (lambda job, number, data: None)
        self.agent_id, self.token = agent_id, token
        self.boot_id = "boot"
        self.usage: dict[str, Any] = {}
        self.inventory: dict[str, Any] = {"images": [], "engine": "", "environments": []}
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        self.cuts: dict[str, list[str]] = {}
        self.log: list[tuple[str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.specs: dict[str, JobSpec] = {}
        self.calls: dict[tuple[str, int], bytes] = {}
        self.begun: list[tuple[str, int]] = []
        self.spoken: dict[int, protocol.Part] = {}
        """What calls have printed, by the sequence number of their results."""
        self.speaking: dict[tuple[str, int], bytes] = {}
        """What calls that run have printed so far."""
        self.hard_in: Optional[float] = None
        """What somebody who holds the host is told of the hard time-out."""
        self.changed = threading.Condition()
        self._results: list[tuple[ResultRecord, bytes]] = []
        self._seq = 0
        self._closed = False
        self._server = serve(self)

    @property
    def port(self) -> int:
        """Where it listens on the loopback."""
        return int(self._server.server_address[1])

    def finish(
        self,
        job: str,
        number: int,
        status: int = protocol.Status.SUCCESS,
        body: bytes = b"",
        printed: bytes = b"",
    ) -> None:
        """End a call, which has printed something or not; a second end of it does not count."""
        with self.changed:
            if self.calls.pop((job, number), None) is None:
                return
            self._seq += 1
            large = len(body) > protocol.INLINE_LIMIT
            shown = None if large else body
            record = ResultRecord(self._seq, job, number, status, len(body), shown, protocol.NO_STATS)
            self._results.append((record, body))
            if printed:
                self.spoken[self._seq] = protocol.Part(job, number, 0, printed)
            self._begin()
            self.changed.notify_all()

    def lose_power(self) -> None:
        """Be switched off and on again, when nothing that was written had come to the disk yet."""
        with self.changed:
            self.boot_id += "'"
            self.specs, self.blobs, self.calls, self.begun = {}, {}, {}, []
            self._results, self._seq = [], 0
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout: float = 20.0) -> None:
        """Wait until something holds of this agent; AssertionError when it does not in time."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), f"it did not come to that: {self.log[-20:]}"

    def requests(self, endpoint: Endpoint) -> list[Any]:
        """What was asked of an endpoint, in order."""
        return [asked for path, asked in self.log if path == endpoint.path]

    def close(self) -> None:
        """End."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    # -- what the server asks --

    def next_cut(self, path: str) -> str:
        """Where the connection of the next request to an endpoint breaks, if it does."""
        return self.cuts[path].pop(0) if self.cuts.get(path) else ""

    def carry_out(self, path: str, asked: Any) -> Any:
        """Ask an endpoint."""
        endpoints: dict[str, Callable[[Any], Any]] = {
            protocol.INFO.path: self.info,
            protocol.STATUS.path: self.status,
            protocol.SUBMIT.path: self.submit,
            protocol.RESULTS.path: self.results,
            protocol.BODY.path: self.body,
            protocol.PRINTED.path: self.printed,
            protocol.HOLD.path: self.hold,
            protocol.CONTENTS.path: self.contents,
            protocol.ENTER.path: self.enter,
            protocol.JOB.path: self.holdings,
            protocol.CANCEL.path: self.cancel,
            protocol.REVOKE.path: self.revoke,
            protocol.RELEASE.path: self.release,
            protocol.DISMANTLE.path: self.dismantle,
            protocol.PLATFORM.path: self.platform,
            protocol.ENVIRONMENT.path: self.environment,
            protocol.RUNTIMES.path: self.runtimes,
            protocol.REMOVE.path: self.remove,
        }
        self.log.append((path, asked))
        return endpoints[path](asked)

    # -- the endpoints; each is called under the lock --

    def info(self, asked: Any) -> dict[str, Any]:
        who = {"agent_id": self.agent_id, "boot_id": self.boot_id}
        what = {"protocol": protocol.PROTOCOL, "version": "0", "python": "3.11.7", "busy": bool(self.begun)}
        return {**what, "processes": self.processes, **who}

    def status(self, asked: Any) -> dict[str, Any]:
        waiting, running = self._load(list(self.specs))
        specs = [self.specs[job] for job in sorted({*waiting, *(job for job, _ in running)})]
        return {
            "waiting": waiting,
            "running": running,
            "jobs": {spec.job: {"function": spec.function_name, "runtime": spec.runtime} for spec in specs},
            "processes": self.processes,
            "host": self.usage,
            "time_to_dismantle": None,
            "reason": "",
            "draining": False,
        }

    def submit(self, body: bytes) -> dict[str, Any]:
        if self.refusals:
            status, problem = self.refusals.pop(0)
            raise Refusal(status, problem)
        stream, accepted = io.BytesIO(body), 0
        while (head := protocol.read_frame_head(stream)) is not None:
            header, size = head
            if header["kind"] == "blob":
                self.blobs[header["sha256"]] = protocol.read_exactly(stream, size)
            elif header["kind"] == "job":
                spec = JobSpec.from_json(header)
                missing = [sha for sha in spec.blobs() if sha not in self.blobs]
                if missing:
                    raise Refusal(409, {"type": Problem.MISSING_BLOBS, "detail": "", "missing": missing})
                self.specs.setdefault(spec.job, spec)
            else:
                accepted += self._accept(header, protocol.read_exactly(stream, size))
        return {"accepted": accepted}

    def _accept(self, header: dict[str, Any], payload: bytes) -> int:
        job, stream, fresh = header["job"], io.BytesIO(payload), []
        if job not in self.specs:
            raise Refusal(404, {"type": Problem.UNKNOWN_JOB, "detail": f"unknown job {job}"})
        known = {(record.job, record.number) for record, _ in self._results} | set(self.calls)
        for number, size in protocol.read_call_table(stream, header["count"], len(payload)):
            data = protocol.read_exactly(stream, size)
            if (job, number) not in known:
                self.calls[(job, number)] = data
                fresh.append((number, data))
        self._begin()
        for number, data in fresh:
            answered = self.answer(job, number, data)
            if answered is not None:
                self.finish(job, number, *answered)
        return len(fresh)

    def _begin(self) -> None:
        self.begun = [call for call in self.begun if call in self.calls]
        for call in self.calls:
            if len(self.begun) < self.processes and call not in self.begun:
                self.begun.append(call)

    def results(self, asked: dict[str, str]) -> bytes:
        session, after = asked["session"], int(asked["after"])

        def page() -> list[tuple[ResultRecord, bytes]]:
            return [
                (r, body)
                for r, body in self._results
                if r.seq > after and self.specs[r.job].session == session
            ]

        self.changed.wait_for(lambda: bool(page()) or self._closed, float(asked["wait"]))
        found = page()
        jobs = sorted({record.job for record, _ in found})
        rows = [
            protocol.RESULT.pack(
                r.seq, jobs.index(r.job), r.number, r.status, r.body is None, r.size, *r.stats
            )
            for r, _ in found
        ]
        mine = [job for job, spec in self.specs.items() if spec.session == session]
        waiting, running = self._load(mine)
        free = max(self.processes - len(self.calls), 0)
        cursor = found[-1][0].seq if found else after
        header = {"cursor": cursor, "jobs": jobs, "waiting": waiting, "running": running, "free": free}
        frame = protocol.results_frame(header, rows, [r.body for r, _ in found if r.body is not None])
        printed = [self.spoken[r.seq] for r, _ in found if r.seq in self.spoken]
        return frame + (protocol.printed_frame({}, printed) if printed else b"")

    def printed(self, asked: dict[str, Any]) -> bytes:
        job, seen = asked["job"], {int(number): count for number, count in asked["seen"].items()}
        ended = [(seq, part) for seq, part in self.spoken.items() if part.job == job and seq > asked["after"]]
        parts = [part for _, part in ended]
        for (name, number), text in self.speaking.items():
            begins = seen.get(number, 0)
            if name == job and (name, number) in self.calls and text[begins:]:
                parts.append(protocol.Part(job, number, begins, text[begins:]))
        running = [number for name, number in self.begun if name == job]
        left = sum(1 for name, _ in self.calls if name == job)
        cursor = max((seq for seq, _ in ended), default=asked["after"])
        return protocol.printed_frame({"cursor": cursor, "running": running, "left": left}, parts)

    def hold(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"hard_in": self.hard_in}

    def contents(self, asked: Any) -> dict[str, Any]:
        return {"home": "/home", "jobs": [{"job": job} for job in self.specs]}

    def enter(self, asked: dict[str, Any]) -> dict[str, Any]:
        spec = self.specs[asked["job"]]
        return {
            "enter": f"/enter/{spec.job}",
            "container": None,
            "function": spec.function,
            "blobs": "/blobs",
        }

    def _load(self, jobs: list[str]) -> tuple[dict[str, int], list[list[Any]]]:
        running = [[job, number] for job, number in self.begun if job in jobs]
        counts = {job: sum(1 for j, _ in self.calls if j == job) for job in jobs}
        for job, _ in self.begun:
            if job in counts:
                counts[job] -= 1
        return {job: count for job, count in counts.items() if count}, running

    def body(self, seq: int) -> bytes:
        for record, body in self._results:
            if record.seq == seq and record.body is None:
                return body
        raise Refusal(404, {"type": Problem.UNKNOWN_RESULT, "detail": f"no body is kept for result {seq}"})

    def holdings(self, job: str) -> dict[str, Any]:
        held = {number for j, number in self.calls if j == job}
        held.update(record.number for record, _ in self._results if record.job == job)
        return {"numbers": protocol.ranges_of(sorted(held))}

    def cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        for job, number in list(self.calls):
            if job == asked["job"] and (asked["numbers"] is None or number in asked["numbers"]):
                self.finish(job, number, protocol.Status.CANCELLED)
        return {}

    def revoke(self, asked: dict[str, Any]) -> dict[str, Any]:
        waiting = [call for call in self.calls if call[0] == asked["job"] and call not in self.begun]
        back = waiting[::-1][: asked["count"]]
        for call in back:
            del self.calls[call]
        return {"numbers": [number for _, number in back]}

    def release(self, asked: dict[str, Any]) -> dict[str, Any]:
        for job in asked["jobs"]:
            self.specs.pop(job, None)
            self.calls = {call: data for call, data in self.calls.items() if call[0] != job}
            self._results = [(record, body) for record, body in self._results if record.job != job]
        self._begin()
        return {}

    def runtimes(self, asked: Any) -> dict[str, Any]:
        return self.inventory

    def remove(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self.inventory[f"{asked['kind']}s"]
        left = [each for each in found if each["name"] != asked["name"]]
        self.inventory[f"{asked['kind']}s"] = left
        return {"removed": len(left) < len(found)}

    def dismantle(self, asked: Any) -> dict[str, Any]:
        return {}

    def platform(self, asked: Any) -> dict[str, Any]:
        libc = ["glibc", "2.36"]
        return {"python": "3.11.2", "implementation": "cpython", "machine": "x86_64", "libc": libc}

    def environment(self, asked: Any) -> dict[str, Any]:
        """It is there once all of its wheels were sent; the interpreter's path ends with its name."""
        needed = [wheel["sha256"] for wheel in (*asked["wheels"], asked["uv"])]
        missing = [sha256 for sha256 in needed if sha256 not in self.blobs]
        if missing:
            return {"state": "missing", "missing": missing, "why": {}}
        return {"state": "ready", "python": f"/environments/{asked['environment']}"}
