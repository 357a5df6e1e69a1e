"""Debugging a worker as `docs/debugging.md` tells it: on a real terminal, on two hosts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.integration.debugged import PRICING, SCRIPT
from tests.integration.support import environment, eventually
from tests.testbed import Host

pytestmark = [pytest.mark.integration, pytest.mark.alone]

PROMPT = r"\$ "
PATIENCE = 30


class Desk:
    """A folder of a user's with a script and a configuration, and the command `lithops`."""

    def __init__(self, folder: Path, home: Path, hosts: tuple[Host, ...], **standalone: Any) -> None:
        self.folder, self.home, self.hosts = folder, home, hosts
        config = hosts[0].lithops_config(ip_address=None, ssh_username=None, ssh_key_filename=None)
        config["vm"]["hosts"] = [host.entry() for host in hosts]
        config["standalone"] = {"soft_dismantle_timeout": 60, **standalone}
        (folder / "cluster.yaml").write_text(json.dumps(config))
        self.environment = environment(home, LITHOPS_CONFIG_FILE=str(folder / "cluster.yaml"), TERM="xterm")

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lithops", *words], cwd=self.folder, env=self.environment, input=given,
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def script(self, text: str, name: str = "script.py") -> str:
        (self.folder / name).write_text(text)
        done = subprocess.run(
            [sys.executable, name], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def terminal(self, *words: str) -> pexpect.spawn[str]:
        return pexpect.spawn(
            sys.executable, ["-m", "lithops", *words], cwd=str(self.folder), env=self.environment,
            encoding="utf-8", timeout=PATIENCE, dimensions=(40, 132),
        )  # fmt: skip


def ends(child: pexpect.spawn[str]) -> int:
    """The exit code of a program on a terminal, which has nothing left to say."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus is not None, child.signalstatus
    return int(child.exitstatus)


@pytest.fixture
def desk(two_hosts: tuple[Host, Host], tmp_path: Path, home: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, home, two_hosts)
    yield desk
    desk.run("dismantle", "--all", "-y")


def test_the_story(desk: Desk) -> None:
    (desk.folder / "pricing.py").write_text(PRICING)
    told = desk.script(SCRIPT)
    assert told.startswith("3 failed of job ")
    job = told.split()[-1]

    shown = desk.run("job", "show", job)
    assert shown.returncode == 0, shown
    rows = re.findall(r"^ *(\d+) +(\S+) +ZeroDivisionError: division by zero", shown.stdout, re.MULTILINE)
    assert [int(number) for number, _ in rows] == [17, 63, 150]
    host = rows[0][1]
    nodename = {each.address: each.name for each in desk.hosts}[host]

    assert desk.run("job", "logs", job, "--call", "17").stdout == "item 17 costs 0\n"

    child = desk.terminal("debug", job, "17")
    child.expect("runs again on " + host)
    child.expect(r"script.py\(8\)quote\(\)")
    child.expect_exact("-> return 100 / price")
    child.expect_exact("(Pdb) ")
    child.sendline("p item, price, __import__('os').uname().nodename")
    child.expect_exact(f"(17, 0, '{nodename}')")
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    assert ends(child) == 1

    child = desk.terminal("ssh", host, "--job", job)
    child.expect("is not dismantled for being idle; hard dismantle ends it in ")
    child.expect(PROMPT)
    child.sendline("python -c 'import pricing; print(pricing.of(17), pricing.of(18))'; hostname")
    child.expect_exact(f"0 19\r\n{nodename}")
    child.expect(PROMPT)
    child.sendline("exit 5")
    assert ends(child) == 5

    again = desk.run("job", "retry", job, "--failed")
    assert again.returncode == 1, again
    assert again.stdout.count("ZeroDivisionError: division by zero") == 3
    (desk.folder / "script.py").write_text(SCRIPT.replace("return 100 / price", "return 100 / (price or 1)"))
    again = desk.run("job", "retry", job, "--failed")
    assert again.returncode == 0, again
    assert re.findall(r"^ *(\d+) +done +100.0", again.stdout, re.MULTILINE) == ["17", "63", "150"]

    ended = desk.run("dismantle", "--all", "-y")
    assert ended.returncode == 0, ended
    for each in desk.hosts:
        assert not each.run("pgrep -u user -f agent-.*serve", check=False).stdout


def test_a_terminal_is_a_real_one(desk: Desk) -> None:
    name = desk.hosts[0].address
    child = desk.terminal("attach", name)
    child.expect_exact(f"No agent runs on {name}")
    child.expect(PROMPT)
    child.sendline("stty size; tty; echo $TERM")
    child.expect(r"40 132\s+/dev/pts/\d+\s+xterm")
    child.expect(PROMPT)
    child.setwinsize(20, 60)
    child.sendline("until [ \"$(stty size)\" = '20 60' ]; do sleep 0.1; done; echo resized")
    child.expect(r"[\r\n]resized")
    child.expect(PROMPT)
    child.sendline("echo begun; sleep 600")
    child.expect(r"[\r\n]begun\r\n")
    child.sendintr()
    child.expect(PROMPT)
    child.sendline("echo after $?; exit 7")
    child.expect("after 130")
    assert ends(child) == 7


def test_a_terminal_that_hangs_can_be_left(desk: Desk) -> None:
    child = desk.terminal("ssh", desk.hosts[0].address, "--", "echo begun; sleep 600")
    child.expect("begun")
    child.send("\r~.")
    assert ends(child) == 255


def test_commands_pass_bytes_and_codes(desk: Desk) -> None:
    name = desk.hosts[1].address
    data = bytes(range(256)) * 8192
    command = [sys.executable, "-m", "lithops", "ssh", name, "--"]
    done = subprocess.run(
        [*command, "cat; echo told >&2; exit 3"], input=data, cwd=desk.folder, env=desk.environment,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (3, data, b"told\n")
    words = subprocess.run(
        [*command, "printf", "%s|", "a b", "$HOME", "*"], cwd=desk.folder, env=desk.environment,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert words.stdout == b"a b|$HOME|*|"
    printed = desk.run("ssh", name, "--print").stdout
    ran = subprocess.run(
        f"{printed.strip()} hostname", shell=True, cwd=desk.folder, env=desk.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout == f"{desk.hosts[1].name}\n", ran


def test_ctrl_c_reaches_a_command_without_a_terminal(desk: Desk) -> None:
    name = desk.hosts[0].address
    command = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    child = subprocess.Popen(
        [sys.executable, "-m", "lithops", "ssh", name, "--", command], cwd=desk.folder, env=desk.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(2)
    assert child.stdout.read() == "caught\n"
    assert child.wait(PATIENCE) == 9


def test_a_shell_holds_the_host(two_hosts: tuple[Host, Host], tmp_path: Path, home: Path) -> None:
    """Soft dismantle waits for the end of the shell, and no longer."""
    desk = Desk(tmp_path, home, two_hosts[:1], soft_dismantle_timeout=3)
    host, agent = two_hosts[0], "pgrep -u user -f 'agent-.*serve'"
    desk.script(
        "import lithops\n"
        "if __name__ == '__main__':\n"
        "    print(lithops.FunctionExecutor().call_async(abs, -1).result())\n"
    )
    child = desk.terminal("ssh", host.address)
    child.expect("not dismantled for being idle")
    child.expect(PROMPT)
    child.sendline("sleep 5; echo still here")
    child.expect(r"[\r\n]still here")
    assert host.run(agent).stdout
    child.expect(PROMPT)
    child.sendline("exit")
    assert ends(child) == 0
    eventually(lambda: not host.run(agent, check=False).stdout, "the end of the agent", 10)


def test_files_are_copied(desk: Desk) -> None:
    name = desk.hosts[0].address
    tree = desk.folder / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "data").write_bytes(bytes(range(256)) * 20_000)
    (tree / "run.sh").write_text("#!/bin/sh\necho it runs\n")
    (tree / "run.sh").chmod(0o755)
    assert desk.run("cp", "tree", f"{name}:").returncode == 0
    assert desk.run("ssh", name, "--", "tree/run.sh").stdout == "it runs\n"
    assert desk.run("cp", f"{name}:tree", "back").returncode == 0
    assert (desk.folder / "back/inner/data").read_bytes() == (tree / "inner/data").read_bytes()
    for words, told in (
        (("cp", "none", f"{name}:"), "there is no none"),
        (("cp", f"{name}:none", "."), f"there is no {name}:none"),
        (("cp", "tree/run.sh", f"{name}:/root/x"), f"can't look at {name}:/root/x: Permission denied"),
        (("cp", "tree", f"{name}:/etc/hostname"), f"{name}:/etc/hostname is a file"),
    ):
        done = desk.run(*words)
        assert done.returncode == 1, done
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert desk.run("cp", "a", "b").returncode == 2


def test_what_functions_print_can_be_followed_without_the_script(desk: Desk) -> None:
    """The script is gone while its calls run; each line is shown once, and the end of the job is noticed."""
    gate = "/tmp/gate"
    desk.script(
        "import lithops, os, time\n"
        "def wait(x):\n"
        "    print('waiting', x, flush=True)\n"
        f"    while not os.path.exists({gate!r}): time.sleep(0.05)\n"
        "    os.system('echo opened ' + str(x))\n"
        "if __name__ == '__main__':\n"
        "    fexec = lithops.FunctionExecutor(worker_processes=2)\n"
        "    fexec.map(wait, range(4))\n"
    )
    child = desk.terminal("job", "logs", "M000", "-f")
    told = ""
    for _ in range(2):
        child.expect(r"waiting \d")
        told += (child.before or "") + str(child.after)
    for host in desk.hosts:
        host.run(f"touch {gate}; chmod 666 {gate}")
    try:
        told += child.read()
        for word in ("waiting", "opened"):
            found = sorted(re.findall(rf"\[0000(\d)\] {word} (\d)", told))
            assert found == [(str(n), str(n)) for n in range(4)], told
        assert ends(child) == 0
    finally:
        for host in desk.hosts:
            host.run(f"rm -f {gate}")
    assert desk.run("job", "logs", "M000", "--call", "2").stdout == "waiting 2\nopened 2\n"


def test_the_log_of_an_agent(desk: Desk) -> None:
    name = desk.hosts[0].address
    done = desk.run("logs", name)
    assert (done.returncode, done.stdout) == (3, ""), done
    desk.script(
        "import lithops\nif __name__ == '__main__':\n    lithops.FunctionExecutor().map(abs, range(8))\n"
    )
    eventually(lambda: "abs" in desk.run("logs", name).stdout, "results of the job", 20)
    done = desk.run("logs", name)
    assert done.returncode == 0
    assert re.search(r"M000 +abs +0 +0 +\d ", done.stdout), done.stdout
    assert "agent.log" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("ssh", "nowhere"), 3, "there is no host 'nowhere'"),
        (("attach", "nowhere", "--print"), 3, "there is no host 'nowhere'"),
        (("logs", "nowhere"), 3, "there is no host 'nowhere'"),
        (("cp", "x", "nowhere:"), 3, "there is no host 'nowhere'"),
        (("job", "logs", "M000"), 3, "there are no jobs"),
        (("job", "retry", "M000", "--failed"), 3, "there are no jobs"),
        (("job", "retry", "M000"), 2, "--failed"),
        (("debug", "M000", "1"), 3, "there are no jobs"),
        (("debug", "M000", "x"), 2, "not a valid integer"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    desk: Desk, words: tuple[str, ...], code: int, told: str
) -> None:
    done = desk.run(*words)
    assert done.returncode == code, done
    assert told in done.stderr
    assert "Traceback" not in done.stderr
