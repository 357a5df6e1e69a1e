"""The numbers of a call, under the names that Lithops' clients read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lithops.future import ResponseFuture


def call_stats(future: ResponseFuture) -> dict[str, Any]:
    """What is known by now. ``*_tstamp`` are seconds since the epoch, ``*_time`` seconds, memory is bytes.

    ``runtime_digest`` is the image that ran it: the digest of its registry, or its id where it has none.
    ``host_*`` come from this machine's clock, ``worker_*`` from that of the host where the call ran.
    """
    stats: dict[str, Any] = {"host_job_create_tstamp": future._info.created_at, **future._info.stats}
    for name, at in (
        ("host_submit_tstamp", future._submitted_at),
        ("host_status_done_tstamp", future._ended_at),
        ("host_result_done_tstamp", future._read_at),
    ):
        if at is not None:
            stats[name] = at
    if future._stats:
        stats.update(_worker_stats(future._stats))
    if future._host:
        stats["worker_host"] = future._host
        digest = future._info.digests.get(future._host)
        if digest:
            stats["runtime_digest"] = digest
    return stats


def _worker_stats(packed: bytes) -> dict[str, Any]:
    from lithops_agent.protocol import STATS

    numbers = struct.unpack(f"{len(packed) // 8}d", packed)
    stats: dict[str, Any] = dict(zip(STATS, numbers))
    began, ended = stats.get("worker_func_start_tstamp", 0.0), stats.get("worker_func_end_tstamp", 0.0)
    seconds = round(ended - began, 8)
    stats["worker_func_exec_time"] = seconds
    stats["worker_exec_time"] = round(
        stats.get("worker_end_tstamp", 0.0) - stats.get("worker_start_tstamp", 0.0), 8
    )
    busy = stats.get("worker_func_cpu_user_time", 0.0) + stats.get("worker_func_cpu_system_time", 0.0)
    # Lithops gives a list with a percentage for each CPU; one process is one entry.
    stats["worker_func_cpu_usage"] = [round(100 * busy / seconds, 1) if seconds > 0 else 0.0]
    return stats


def call_status(future: ResponseFuture) -> dict[str, Any]:
    """How an ended call stands: its ids, whether it failed, and its numbers."""
    return {
        "type": "__end__",
        "executor_id": future.executor_id,
        "job_id": future.job_id,
        "call_id": future.call_id,
        "activation_id": future.activation_id,
        "exception": future.error,
        **call_stats(future),
    }
