"""The third fence: the next program ends what the two fences on a host did not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lithops import FunctionExecutor
from lithops.overdue import end_overdue
from tests.faults.ending import Login
from tests.integration.functions import double
from tests.testbed import Host

pytestmark = pytest.mark.integration


def test_the_records_alone(host: Host, no_login: Path) -> None:
    login = Login(host, "user", "none")
    with FunctionExecutor(config=login.config(soft_dismantle_timeout=2)) as fexec:
        assert fexec.call_async(double, 1).result(timeout=20) == 2
    deadline = time.time() + 2
    login.disable_fence()
    login.kill_for_good()
    time.sleep(max(deadline + 0.5 - time.time(), 0))
    assert login.files(), "no fence is left that could have ended it"
    assert end_overdue(grace=60) == []
    assert login.files()
    end_overdue(grace=0)
    assert login.what_is_left() == []
    assert end_overdue(grace=0) == []


def test_an_agent_that_is_used_by_others_goes_on(host: Host, no_login: Path) -> None:
    login = Login(host, "user", "none")
    with FunctionExecutor(config=login.config(soft_dismantle_timeout=1)) as fexec:
        fexec.call_async(double, 1).result(timeout=20)
    with FunctionExecutor(config=login.config(soft_dismantle_timeout=300)) as fexec:
        fexec.call_async(double, 1).result(timeout=20)
    assert end_overdue(grace=0, now=time.time() + 100) == []
    assert login.agent()["pid"]
