"""How executors and futures look in a terminal (``repr``) and in a notebook (HTML).

Nothing is waited for and nothing is unpickled: to look at a future never changes it.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lithops.executors import FunctionExecutor
    from lithops.future import ResponseFuture

_JOBS_SHOWN = 10
_NAMED = {"New": "waiting", "Invoked": "sent", "Running": "running"}


def describe_future(future: ResponseFuture) -> str:
    """A call in a line: its id, function and state, and where it ran and for how long."""
    return f"<ResponseFuture {future.activation_id} {future.function_name}() {', '.join(_facts(future))}>"


def describe_executor(executor: FunctionExecutor) -> str:
    """An executor in a line: its id, its backend, and how its calls stand."""
    calls = f", {tally(executor.futures)}" if executor.futures else ""
    return f"<{type(executor).__name__} {executor.executor_id} on {executor.backend}{calls}>"


def tally(futures: Sequence[ResponseFuture]) -> str:
    """How calls stand: `200 calls: 3 failed, 150 done, 47 running`."""
    counts = Counter(_state(future) for future in futures)
    order = ("failed", "done", *reversed(_NAMED.values()))
    parts = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    return f"{len(futures)} call{'s' * (len(futures) != 1)}: {parts}"


def _state(future: ResponseFuture) -> str:
    if future.done:
        return "failed" if future.error else "done"
    return _NAMED.get(future.state, "waiting")


def _facts(future: ResponseFuture) -> list[str]:
    facts = [future.state if not future._host else f"{future.state} on {future._host}"]
    took = future.stats.get("worker_func_exec_time")
    if took:
        facts.append(f"{took:.3g} s")
    return facts


# ---- notebooks ----------------------------------------------------------------------------------------


def future_html(future: ResponseFuture) -> str:
    """A call as a small table."""
    stats = future.stats
    rows = {
        "function": f"{future.function_name}()",
        "state": future.state,
        "host": future._host or "-",
        "time": _seconds(stats.get("worker_func_exec_time")),
        "memory": _megabytes(stats.get("worker_func_rss")),
    }
    return _titled(
        f"Call {future.activation_id}", _table([], [[name, value] for name, value in rows.items()])
    )


def executor_html(executor: FunctionExecutor) -> str:
    """An executor as a table of its newest jobs."""
    jobs: dict[str, list[ResponseFuture]] = {}
    for future in executor.futures:
        jobs.setdefault(future.job_id, []).append(future)
    shown = list(jobs.items())[-_JOBS_SHOWN:]
    rows = [[job_id, f"{futures[0].function_name}()", *_counts(futures)] for job_id, futures in shown]
    title = f"{type(executor).__name__} {executor.executor_id} on {executor.backend}"
    more = f"{len(jobs) - len(shown)} earlier jobs are not shown." if len(jobs) > len(shown) else ""
    body = _table(_HEAD, rows) if rows else "No calls yet."
    return _titled(title, body + html.escape(more))


def futures_html(futures: Sequence[ResponseFuture]) -> str:
    """A list of futures as one row."""
    names = sorted({future.function_name for future in futures})
    rows = [[", ".join(f"{name}()" for name in names), *_counts(futures)]] if futures else []
    return _titled(f"{len(futures)} futures", _table(_HEAD[1:], rows))


_HEAD = ("job", "function", "calls", "done", "failed", "running", "hosts")


def _counts(futures: Sequence[ResponseFuture]) -> list[str]:
    counts = Counter(_state(future) for future in futures)
    hosts = len({future._host for future in futures if future._host})
    numbers = (len(futures), counts["done"], counts["failed"], counts["running"], hosts)
    return [str(number) for number in numbers]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} s"


def _megabytes(value: float | None) -> str:
    return "-" if not value else f"{value / 1e6:.0f} MB"


def _titled(title: str, body: str) -> str:
    return f"<div><b>{html.escape(title)}</b>{body}</div>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    first = _row("th", head) if head else ""
    return f"<table>{first}{''.join(_row('td', row) for row in rows)}</table>"


def _row(kind: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{html.escape(cell)}</{kind}>' for cell in cells)}</tr>"
