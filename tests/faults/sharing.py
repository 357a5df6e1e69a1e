"""Several programs, and several users, on one host at the same time."""

from __future__ import annotations

import time

from tests.faults.scenario import Row, Stage, agent_pids, half_way, row_of, scenario, together, under_way
from tests.integration.support import agent_state
from tests.testbed import Host

_SHARE = 6.0
"""Seconds within which a short program ends beside a long one: half of the slots are its."""
_ASK = (
    "python3 -c 'import sys, urllib.request as r; "
    "q = r.Request(sys.argv[1], method=sys.argv[2]); "
    '[q.add_header("Authorization", "Bearer " + each) for each in sys.argv[3:]]; '
    "print(r.urlopen(q).read())' "
)


@scenario("two-programs", "two programs of a user on a host")
def _two_programs(stage: Stage) -> Row:
    """A short job that comes while a long one runs gets its share, and neither disturbs the other's calls."""
    host = stage.host()
    long = stage.program([host], 40, 0.4)
    half_way(long)
    came_at = time.monotonic()
    short = stage.program([host], 6, 0.2)
    short.wait(_SHARE)
    took = time.monotonic() - came_at
    assert not long.has_ended(), "the short job only came after the long one"
    long.recovered(time.monotonic(), set(range(long.count)) - long.told(), 5)
    return together([row_of(program, [host], injected=1, recovery=took) for program in (long, short)])


@scenario("two-users", "two users on a host, one tries to harm the other")
def _two_users(stage: Stage) -> Row:
    """Whatever the one tries fails, and the jobs of both go on."""
    host = stage.host()
    mine, theirs = (stage.program([host], 40, 0.4, user=user) for user in ("user", "user2"))
    half_way(mine)
    half_way(theirs)
    before = agent_pids(host), agent_pids(host, "user2")
    looks, workers = _looks(host), list(under_way(host, mine).values())
    own, others = (agent_state(host, user)["token"] for user in ("user", "user2"))
    for look in looks:
        # What the owner could not do either would show nothing.
        assert host.run(look.format(token=own), "user", check=False).returncode == 0, look
    attempts = [look.format(token=token) for look in looks for token in ("", others)]
    attempts += _blows(own, [*before[0], *workers])
    attempts += [f"{_ASK} {_url(host)}/dismantle POST {token}" for token in ("", others)]
    for attempt in attempts:
        done = host.run(f"({attempt}) 2>/dev/null", "user2", check=False)
        assert done.returncode != 0, f"user2 can: {attempt}"
        assert done.stdout == "", f"user2 sees: {done.stdout}"
    tried_at, waiting = time.monotonic(), set(range(mine.count)) - mine.told()
    recovery = mine.recovered(tried_at, waiting, 5)
    rows = [row_of(each, [host], injected=len(attempts), recovery=recovery) for each in (mine, theirs)]
    assert (agent_pids(host), agent_pids(host, "user2")) == before
    return together(rows)


def _url(host: Host) -> str:
    return f"http://127.0.0.1:{agent_state(host)['port']}/v1"


def _looks(host: Host) -> list[str]:
    """What does no harm, and what nobody but 'user' can do; ``{token}`` is the token that is tried."""
    state, folder = agent_state(host), "/home/user/.lithops/agent"
    return [
        f"ls {folder}/work",
        f"cat {folder}/agent.json {folder}/work/journal.db >/dev/null",
        f"touch {folder}/bundles",
        "find /tmp /var/tmp /dev/shm /home/user/.lithops -user user -type f -readable | grep . >/dev/null",
        f"cat /proc/{state['pid']}/environ >/dev/null",
        f"ls /proc/{state['pid']}/fd",
        *(f"{_ASK} {_url(host)}/{path} GET {{token}}" for path in ("info", "status", "jobs/unknown")),
    ]


def _blows(token: str, pids: list[int]) -> list[str]:
    """What would do harm, and where the token could be seen."""
    return [
        # The pattern is one that does not match itself.
        f"grep -aq -e '[{token[0]}]{token[1:]}' /proc/[0-9]*/cmdline /proc/[0-9]*/environ",
        *(f"kill -{name} {pid}" for name in ("KILL", "STOP") for pid in pids),
        "systemctl --no-ask-password stop user@$(id -u user).service",
        "systemctl --no-ask-password kill user-$(id -u user).slice",
        "rm -rf /home/user/.lithops",
    ]
