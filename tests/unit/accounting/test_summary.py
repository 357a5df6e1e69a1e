"""What calls took, as `job_summary` tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lithops.accounting.machines import machines_of
from lithops.accounting.summary import JobSummary, summarise
from lithops.accounting.usage import MachineTime, ProfileUsage
from lithops.future import ResponseFuture
from lithops.job.info import JobInfo
from lithops.job.model import Outcome
from lithops.state.cloud import CloudRecords, ResourceRecord
from lithops_agent.protocol import STATS

NOW = 2000.0
"""When it is summarised; the jobs are created at 1000."""


def future(
    function: str = "f",
    number: int = 0,
    *,
    ended: float | None = None,
    ok: bool = True,
    host: str = "a",
    numbers: dict[str, float] | None = None,
) -> ResponseFuture:
    """A call of a function; with ``ended``, its result came then."""
    moment = [ended or 0.0]
    info = JobInfo(
        executor_id="e-0", job_id="M000", function_name=function, total_calls=9, created_at=1000.0,
        clock=lambda: moment[0], runtime_name="python3", runtime_memory=None, execution_timeout=None,
    )  # fmt: skip
    made = ResponseFuture(info, number)
    if ended is not None:
        stats = tuple((numbers or {}).get(name, 0.0) for name in STATS)
        made._on_outcome(Outcome(ok=ok, host=host, body=b"x", stats=stats))
    return made


def took(seconds: float, cpu: float, memory: float) -> dict[str, float]:
    return {
        "worker_func_start_tstamp": 50.0, "worker_func_end_tstamp": 50.0 + seconds,
        "worker_func_cpu_user_time": cpu * 0.75, "worker_func_cpu_system_time": cpu * 0.25,
        "worker_peak_memory_end": memory,
    }  # fmt: skip


def summary(*futures: ResponseFuture, machines: tuple[ProfileUsage, ...] = ()) -> JobSummary:
    return summarise("e-0", futures, machines, "EUR", NOW)


def usage(profile: str, per_hour: float | None, *, hours: float = 2.0, running: int = 0) -> ProfileUsage:
    return ProfileUsage(
        profile=profile, region="eu-de", machines=3, running=running, hours=hours, per_hour=per_hour
    )


def test_calls_are_told_by_function_and_in_total() -> None:
    told = summary(
        future("f", 0, ended=1010.0, numbers=took(4.0, 2.0, 5e6)),
        future("f", 1, ended=1030.0, ok=False, host="b", numbers=took(1.0, 1.0, 9e6)),
        future("g", 0, ended=1020.0, numbers=took(2.0, 0.5, 7e6)),
    )
    f, g = told.functions
    assert (f.function_name, f.calls, f.succeeded, f.failed, f.unfinished) == ("f", 2, 1, 1, 0)
    assert (f.wall_time, f.exec_time, f.cpu_time) == (30.0, 5.0, 3.0)
    assert (f.peak_memory, f.hosts) == (9_000_000, ("a", "b"))
    assert (g.function_name, g.calls, g.wall_time, g.hosts) == ("g", 1, 20.0, ("a",))
    total = told.total
    assert (total.calls, total.succeeded, total.failed, total.wall_time) == (3, 2, 1, 30.0)
    assert (total.exec_time, total.cpu_time) == (7.0, 3.5)
    assert (total.peak_memory, total.hosts) == (9_000_000, ("a", "b"))


def test_calls_that_go_on_count_until_now() -> None:
    told = summary(future(ended=1010.0), future(number=1))
    assert (told.total.unfinished, told.total.wall_time) == (1, 1000.0)


def test_without_calls_all_is_nothing() -> None:
    told = summary()
    assert (told.total.calls, told.total.wall_time, told.functions, told.cost) == (0, 0.0, (), 0)
    assert "total" in str(told)


@pytest.mark.parametrize(
    ("machines", "cost", "unpriced", "said"),
    [
        ((), 0, (), "executor e-0"),
        (
            (usage("cx2-2x4", 0.5, running=1),),
            1.0,
            (),
            "cx2-2x4 in eu-de: 3 VM(s), 1 of them still there, 2.000 h, 0.5 EUR an hour\n"
            "cost: about 1.0000 EUR; an estimate, without volumes, addresses and traffic",
        ),
        (
            (usage("cx2-2x4", None),),
            None,
            ("cx2-2x4",),
            "cx2-2x4 in eu-de: 3 VM(s), 2.000 h, unknown price\n"
            "cost: unknown price of cx2-2x4; set it in ibm_vpc.prices",
        ),
        (
            (usage("a", 0.5), usage("b", None)),
            None,
            ("b",),
            "cost: unknown price of b, beside 1.0000 EUR for the others; set it in ibm_vpc.prices",
        ),
    ],
)
def test_what_machines_cost(
    machines: tuple[ProfileUsage, ...], cost: float | None, unpriced: tuple[str, ...], said: str
) -> None:
    told = summary(future(ended=1010.0), machines=machines)
    assert (told.cost, told.unpriced) == (cost, unpriced)
    assert said in str(told)


def test_as_a_table() -> None:
    told = summary(
        future("add", 0, ended=1010.0, numbers=took(4.0, 2.0, 5e6)), future("multiply", 0, ended=1010.0)
    )
    assert str(told).splitlines() == [
        "executor e-0",
        "function  calls  failed  unfinished  wall s  run s  CPU s  peak MB  hosts",
        "add           1       0           0   10.00   4.00   2.00      5.0      1",
        "multiply      1       0           0   10.00   0.00   0.00      0.0      1",
        "total         2       0           0   10.00   4.00   2.00      5.0      1",
    ]


def test_as_json() -> None:
    told = summary(future(ended=1010.0), machines=(usage("cx2-2x4", None),))
    read = json.loads(json.dumps(told.to_dict()))
    assert read["total"]["calls"] == 1
    assert read["functions"][0]["hosts"] == ["a"]
    assert (read["cost"], read["currency"], read["unpriced_profiles"]) == (None, "EUR", ["cx2-2x4"])


# ---- of the records ---------------------------------------------------------------------------------


def test_the_records_tell_of_machines(tmp_path: Path) -> None:
    records = CloudRecords(tmp_path)
    for name, profile, executor in (
        ("vm-1", "p", "e-0"),
        ("vm-2", "p", "e-0"),
        ("vm-refused", "p", "e-0"),
        ("vm-unknown", "p", "e-0"),
        ("ip-1", "", "e-0"),
        ("vm-4", "p", "other"),
    ):
        records.asked(
            ResourceRecord(
                name=name, kind="thing", scope="s", executor_id=executor, region="eu-de",
                profile=profile, asked_at=1.0,
            )
        )  # fmt: skip
    for name in ("vm-1", "vm-2", "ip-1", "vm-4"):
        records.made(name, "id", 2.0)
    for name in ("vm-1", "vm-refused"):
        records.gone(name, 5.0)
    records.close()
    assert machines_of("e-0", tmp_path) == [
        MachineTime(profile="p", region="eu-de", began_at=2.0, ended_at=5.0),
        MachineTime(profile="p", region="eu-de", began_at=2.0),
        MachineTime(profile="p", region="eu-de", began_at=1.0),
    ]
    assert machines_of("nobody", tmp_path) == []
    assert machines_of("e-0", tmp_path / "nowhere") == []
