"""What the README promises to somebody who has just cloned the project, on a machine that never saw it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.testbed import Testbed

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
CLONE = "git clone --quiet /checkout project && cd project"
TIMEOUT = 600


def block(language: str, containing: str) -> str:
    """The one block of code in the README in this language that has these words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found: list[str] = [text for text in blocks if containing in text]
    assert len(found) == 1, f"{len(found)} blocks with {containing!r}"
    return found[0]


def test_make_demo_writes_the_picture(bed: Testbed) -> None:
    assert "make demo" in block("sh", "make demo").splitlines()
    show = "head -c 24 mandelbrot.png | od -A n -t x1 -v"
    done = bed.newcomer(f"{CLONE} && make demo DEMO='--size 480x272' && {show}", ROOT, timeout=TIMEOUT)
    lines = done.stdout.splitlines()
    here = [line for line in lines if line.startswith("Running on this machine alone: ")]
    assert len(here) == 1
    assert "not root" in here[0]
    for part in ("bootstrap", "running", "collecting"):
        assert [line for line in lines if re.match(rf" +{part} +\d+\.\d s ", line)], part
    assert "  tiles       256 on localhost" in lines
    head = bytes.fromhex("".join(lines[-2:]))
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (480, 272)


def test_the_script_of_the_readme_runs_from_an_installation(bed: Testbed) -> None:
    install = block("sh", "pip install").replace("/path/to/this/clone", "./project").strip()
    script = shlex.quote(block("python", "import lithops"))
    command = (
        f"git clone --quiet /checkout project && {install} && rm -rf project "
        f"&& printf %s {script} >hello.py && venv/bin/python hello.py 2>errors && cat errors "
        f"&& venv/bin/python -c 'import lithops; print(lithops.__file__)' "
        f"&& venv/bin/pip show --files lithops-standalone"
    )
    out = bed.newcomer(command, ROOT, timeout=TIMEOUT).stdout
    promised = re.search(r"It prints\s+`(.*?)`", (ROOT / "README.md").read_text())
    assert promised is not None
    lines = [line.strip() for line in out.splitlines()]
    begin = lines.index(promised[1])
    assert "/site-packages/lithops/__init__.py" in lines[begin + 1], "it says more than its result"
    files = lines[lines.index("Files:") + 1 :]
    for name in ("lithops/bootstrap/probe.sh", "lithops/py.typed", "lithops_agent/py.typed"):
        assert name in files
    roots = {name.split("/")[0] for name in files if not name.startswith("..")}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"lithops", "lithops_agent"}


def test_make_help_tells_of_each_command(bed: Testbed) -> None:
    told = bed.newcomer(f"{CLONE} && make", ROOT).stdout
    readme = (ROOT / "README.md").read_text()
    for target in {"demo", "test", "check", *re.findall(r"`make (\w+)`", readme)} - {"help"}:
        assert re.search(rf"^make {target} ", told, re.MULTILINE), target
