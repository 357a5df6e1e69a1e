"""What the calls of an executor took, by function, and what its machines cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Optional

from lithops.accounting.usage import ProfileUsage

if TYPE_CHECKING:
    from lithops.future import ResponseFuture

_MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class FunctionSummary:
    """The calls of one function. Times are in seconds, memory is in bytes.

    ``wall_time`` is from the first submission to the last result (until now, while calls go on),
    ``exec_time`` and ``cpu_time`` are sums over the calls, ``peak_memory`` is the most that a worker held.
    """

    function_name: str
    calls: int
    succeeded: int
    failed: int
    wall_time: float
    exec_time: float
    cpu_time: float
    peak_memory: int
    hosts: tuple[str, ...]

    @property
    def unfinished(self) -> int:
        """Calls that have not ended."""
        return self.calls - self.succeeded - self.failed


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """The calls that an executor remembers, by function and in total, and the machines created for it.

    The cost is an estimate in ``currency``: the hours of those machines by the prices of
    `lithops.accounting.prices`, without volumes, addresses and traffic.
    """

    executor_id: str
    total: FunctionSummary
    functions: tuple[FunctionSummary, ...]
    machines: tuple[ProfileUsage, ...]
    currency: str
    cloud_objects: int = 0

    @property
    def cost(self) -> Optional[float]:
        """The estimate; None when a price is not known, 0 without machines that are paid for by the hour."""
        costs = [usage.cost for usage in self.machines]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The profiles without a known price."""
        return tuple(sorted({usage.profile for usage in self.machines if usage.per_hour is None}))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "executor_id": self.executor_id,
            "total": _function_dict(self.total),
            "functions": [_function_dict(function) for function in self.functions],
            "machines": [usage.to_dict() for usage in self.machines],
            "cost": self.cost,
            "currency": self.currency,
            "unpriced_profiles": list(self.unpriced),
            "cloud_objects": self.cloud_objects,
        }

    def __str__(self) -> str:
        return "\n".join([*_table(self), *_machine_lines(self)])


def summarise(
    executor_id: str,
    futures: Iterable[ResponseFuture],
    machines: Sequence[ProfileUsage],
    currency: str,
    now: float,
    *,
    cloud_objects: int = 0,
) -> JobSummary:
    """The summary of an executor at ``now``, in seconds since the epoch."""
    groups: dict[str, list[_Call]] = {}
    for future in futures:
        groups.setdefault(future.function_name, []).append(_call(future))
    return JobSummary(
        executor_id=executor_id,
        total=_function("total", [call for calls in groups.values() for call in calls], now),
        functions=tuple(_function(name, calls, now) for name, calls in groups.items()),
        machines=tuple(machines),
        currency=currency,
        cloud_objects=cloud_objects,
    )


@dataclass(frozen=True)
class _Call:
    began_at: float
    ended_at: Optional[float]
    failed: bool
    stats: Mapping[str, Any]


def _call(future: ResponseFuture) -> _Call:
    stats = future.stats
    ended_at = stats.get("host_status_done_tstamp") if future.done else None
    return _Call(stats["host_job_create_tstamp"], ended_at, future.error, stats)


def _function(name: str, calls: Sequence[_Call], now: float) -> FunctionSummary:
    ended = [call for call in calls if call.ended_at is not None]
    last = now if len(ended) < len(calls) else max((call.ended_at or now for call in ended), default=now)
    first = min((call.began_at for call in calls), default=last)
    failed = sum(call.failed for call in ended)
    cpu = ("worker_func_cpu_user_time", "worker_func_cpu_system_time")
    return FunctionSummary(
        function_name=name,
        calls=len(calls),
        succeeded=len(ended) - failed,
        failed=failed,
        wall_time=max(last - first, 0.0),
        exec_time=_sum(calls, "worker_func_exec_time"),
        cpu_time=sum(_sum(calls, key) for key in cpu),
        peak_memory=int(max((call.stats.get("worker_peak_memory_end", 0.0) for call in calls), default=0)),
        hosts=tuple(sorted({call.stats["worker_host"] for call in calls if "worker_host" in call.stats})),
    )


def _sum(calls: Sequence[_Call], key: str) -> float:
    return float(sum(call.stats.get(key, 0.0) for call in calls))


def _function_dict(function: FunctionSummary) -> dict[str, Any]:
    return {**asdict(function), "hosts": list(function.hosts), "unfinished": function.unfinished}


# ---- as text ----------------------------------------------------------------------------------------

_HEAD = ("function", "calls", "failed", "unfinished", "wall s", "run s", "CPU s", "peak MB", "hosts")


def _table(summary: JobSummary) -> list[str]:
    shown = [*summary.functions, *([summary.total] if len(summary.functions) != 1 else [])]
    rows = [_HEAD, *map(_row, shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return [
        f"executor {summary.executor_id}",
        *(
            "  ".join([row[0].ljust(widths[0]), *(map(str.rjust, row[1:], widths[1:]))]).rstrip()
            for row in rows
        ),
    ]


def _row(function: FunctionSummary) -> tuple[str, ...]:
    return (
        function.function_name,
        str(function.calls),
        str(function.failed),
        str(function.unfinished),
        f"{function.wall_time:.2f}",
        f"{function.exec_time:.2f}",
        f"{function.cpu_time:.2f}",
        f"{function.peak_memory / _MEGABYTE:.1f}",
        str(len(function.hosts)),
    )


def _machine_lines(summary: JobSummary) -> list[str]:
    if not summary.machines:
        return []
    lines = [_machine_line(usage, summary.currency) for usage in summary.machines]
    if summary.cost is not None:
        lines.append(f"cost: about {summary.cost:.4f} {summary.currency}; {_NOT_COUNTED}")
    else:
        known = sum(usage.cost or 0.0 for usage in summary.machines)
        part = f", beside {known:.4f} {summary.currency} for the others" if known else ""
        names = ", ".join(summary.unpriced)
        lines.append(f"cost: unknown price of {names}{part}; set it in ibm_vpc.prices")
    return lines


_NOT_COUNTED = "an estimate, without volumes, addresses and traffic"


def _machine_line(usage: ProfileUsage, currency: str) -> str:
    price = "unknown price" if usage.per_hour is None else f"{usage.per_hour:g} {currency} an hour"
    running = f", {usage.running} of them still there" if usage.running else ""
    return f"{usage.profile} in {usage.region}: {usage.machines} VM(s){running}, {usage.hours:.3f} h, {price}"
