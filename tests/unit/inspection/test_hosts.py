"""Which hosts there are."""

from __future__ import annotations

import pytest

from lithops.errors import HostUnknown
from lithops.inspection.hosts import find_host, find_hosts, known_hosts
from lithops.state.records import Records
from tests.unit.clusters import Cluster, use


def names(cluster: Cluster, records: Records | None, *configured: str) -> list[str]:
    return [host.name for host in known_hosts(cluster.settings(*configured), records)]


def test_hosts_are_those_configured_and_those_in_use(cluster: Cluster, records: Records) -> None:
    for name in ("a", "b", "used", "ended"):
        cluster.add(name)
    use(records, "used", "x-0")
    use(records, "ended", "x-1", ended_at=5.0)
    use(records, "b", "x-2")
    assert names(cluster, records, "b", "a") == ["b", "a", "used"]
    assert names(cluster, None, "b", "a") == ["b", "a"]
    found = known_hosts(cluster.settings("b", "a"), records)
    assert [host.record.executor_id if host.record else None for host in found] == ["x-2", None, "x-0"]


def test_a_host_of_a_program_that_nobody_knows_any_more_is_left_out(
    cluster: Cluster, records: Records
) -> None:
    cluster.add("a")
    cluster.add("used")
    use(records, "used")
    records._do("DELETE FROM executors")
    assert names(cluster, records, "a") == ["a"]


def test_hosts_are_found_by_name(cluster: Cluster) -> None:
    for name in ("web1", "web2"):
        cluster.add(name)
    hosts = known_hosts(cluster.settings("web1", "web2"), None)
    assert find_host(hosts, "web2").name == "web2"
    assert [host.name for host in find_hosts(hosts, ["web2", "web1", "web2"])] == ["web2", "web1"]
    with pytest.raises(HostUnknown, match="there is no host 'web3'; did you mean `web"):
        find_hosts(hosts, ["web1", "web3"])
    with pytest.raises(HostUnknown, match="there is no host 'moon'; there are web1, web2"):
        find_host(hosts, "moon")
    with pytest.raises(HostUnknown, match="there is none at all"):
        find_host([], "moon")
