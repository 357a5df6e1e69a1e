"""Shells and the debugger in the container of a job."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.conftest import IMAGE
from tests.integration.test_debugging import Desk, ends
from tests.testbed.engine import Engine

pytestmark = pytest.mark.integration

SCRIPT = """\
import lithops


def inside(x):
    return 1 / len([x] * x)


if __name__ == "__main__":
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(inside, [0, 1], extra_env={"COLOUR": "a secret one"})
    fexec.wait(futures, throw_except=False)
    print(futures[0].job_key)
"""


def test_a_call_in_a_container_is_debugged_there(engine: Engine, tmp_path: Path, home: Path) -> None:
    host = engine.host
    host.clean_home()
    engine.remove_containers()
    desk = Desk(tmp_path, home, (host,), runtime=IMAGE)
    job = desk.script(SCRIPT).strip()

    child = desk.terminal("debug", job, "0")
    child.expect_exact("-> return 1 / len([x] * x)")
    child.expect_exact("(Pdb) ")
    child.sendline("p x, __import__('os').environ['COLOUR'], __import__('os').path.exists('/lithops')")
    child.expect_exact("(0, 'a secret one', True)")
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    assert ends(child) == 1

    look = "import json, os; print(json.dumps([os.environ['COLOUR'], os.path.exists('/lithops')]))"
    done = desk.run("ssh", host.address, "--job", job, "--", "python3", "-c", look)
    assert done.returncode == 0, done
    assert json.loads(done.stdout) == ["a secret one", True]
    assert desk.run("ssh", host.address, "--job", job, "--", "exit 5").returncode == 5

    child = desk.terminal("ssh", host.address, "--job", job)
    child.expect(re.escape("(visit-"))
    child.sendline("python3 -c \"print('it ' + 'runs')\"; exit 6")
    child.expect_exact("it runs")
    assert ends(child) == 6
    assert desk.run("dismantle", "--all", "-y").returncode == 0
