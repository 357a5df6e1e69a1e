"""The modules that a script needs travel with its functions, once, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.integration.support import run_script
from tests.testbed import Host

pytestmark = pytest.mark.integration

WORK = "/home/user/.lithops/agent/work"
FILES = {
    "helper.py": "import pack.inner\n\ndef twice(x):\n    return pack.inner.times(2, x)\n",
    "pack/__init__.py": "",
    "pack/inner.py": "from . import deep\n\ndef times(n, x):\n    return deep.VERSION, n * x\n",
    "pack/deep/__init__.py": "VERSION = 'first'\n",
    "pack/table.csv": "1,2,3\n" * 100_000,
    "pack/model.bin": "\0" * 3_000_000,
    "named.py": "WHO = 'named'\n",
    "other.py": "WHO = 'other'\n",
}
SCRIPT = """\
import helper
import lithops

def run(x):
    return helper.twice(x)

def by_name(name):
    import importlib
    return importlib.import_module(name).__name__

def told(future):
    try:
        return future.result(timeout=30)
    except Exception as exc:
        return f'{type(exc).__name__}: {exc}'

fexec = lithops.FunctionExecutor()
"""

Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project: a module, a package with data, and modules that nobody imports."""
    path = tmp_path / "project"
    for name, text in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


@pytest.fixture
def run(warm: Host, folder: Path, home: Path) -> Run:
    """Runs lines of a script of the project; gives what they print."""
    warm.run(f"rm -rf {WORK}/modules/* {WORK}/blobs/*", check=False)

    def run(lines: str, **settings: object) -> str:
        written = warm.lithops_config()
        written["lithops"].update(settings)
        (folder / ".lithops_config").write_text(yaml.safe_dump(written))
        done = run_script(SCRIPT + lines, folder, home)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def there(host: Host, what: str = "*") -> list[str]:
    """The files that were unpacked on a host, without the folder of their archive."""
    found = host.run(f"cd {WORK}/modules && find . -type f -name '{what}' ! -name '*.pyc' | sort").stdout
    return [name.split("/", 2)[2] for name in found.split()]


def sent(host: Host) -> list[str]:
    """Each archive of modules on a host that is not small, with the moment at which it was written."""
    return host.run(f"cd {WORK}/blobs && find . -size +32k -printf '%f %T+\\n' | sort").stdout.splitlines()


def test_local_modules_travel_and_data_files_do_not(run: Run, warm: Host) -> None:
    assert run("print(told(fexec.call_async(run, 4)))") == "('first', 8)"
    assert there(warm) == ["helper.py", "pack/__init__.py", "pack/deep/__init__.py", "pack/inner.py"]
    total = int(warm.run(f"du -sk {WORK}/blobs | cut -f1").stdout)
    assert total < 100, f"{total} kB were sent"


def test_they_travel_once_a_host_until_they_change(run: Run, warm: Host, folder: Path) -> None:
    # What is small is sent sooner than asked for.
    (folder / "pack/large.py").write_text("".join(f"X{n} = '{random.random()}'\n" for n in range(20_000)))
    lines = "print([f.result() for f in fexec.map(run, [1, 2])], told(fexec.call_async(run, 3)))"
    expected = "[('first', 2), ('first', 4)] ('first', 6)"
    assert run(lines) == expected
    first = sent(warm)
    assert len(first) == 1
    assert run(lines) == expected
    assert sent(warm) == first
    (folder / "pack/deep/__init__.py").write_text("VERSION = 'second'\n")
    assert run(lines) == expected.replace("first", "second")
    assert len(set(sent(warm)) - set(first)) == 1


def test_the_modules_of_the_data_travel_too(run: Run, warm: Host, folder: Path) -> None:
    (folder / "shapes.py").write_text("class Square:\n    def __init__(self, a):\n        self.a = a\n")
    lines = "import shapes\nprint(told(fexec.call_async(lambda s: s.a ** 2, shapes.Square(5))))"
    assert run(lines) == "25"
    assert there(warm) == ["shapes.py"]


def test_include_modules(run: Run, warm: Host) -> None:
    lines = (
        "print(told(fexec.call_async(by_name, 'named')))\n"
        "print(told(fexec.call_async(by_name, 'named', include_modules=['named'])))\n"
        "print(told(fexec.call_async(by_name, 'tqdm', include_modules=['tqdm'])))\n"
        "print(told(fexec.call_async(by_name, 'tqdm')))\n"
    )
    assert run(lines).splitlines() == [
        "ModuleNotFoundError: No module named 'named'",
        "named",
        "tqdm",
        "ModuleNotFoundError: No module named 'tqdm'",
    ]
    assert "other.py" not in there(warm)


def test_include_modules_of_the_configuration(run: Run) -> None:
    lines = "print(told(fexec.call_async(by_name, 'named')))"
    assert run(lines, include_modules=["named"]) == "named"


def test_no_modules_at_all(run: Run, warm: Host) -> None:
    lines = "print(told(fexec.call_async(run, 1, include_modules=None)))"
    assert run(lines) == "ModuleNotFoundError: No module named 'helper'"
    assert run("print(told(fexec.call_async(run, 1)))", include_modules=None).endswith("'helper'")
    assert there(warm) == []


def test_exclude_modules(run: Run, warm: Host) -> None:
    lines = "print(told(fexec.call_async(run, 1, exclude_modules=['pack.deep'])))"
    assert "ImportError: cannot import name 'deep' from 'pack'" in run(lines)
    assert there(warm) == ["helper.py", "pack/__init__.py", "pack/inner.py"]
    assert "No module named 'pack'" in run("print(told(fexec.call_async(run, 1)))", exclude_modules=["pack"])


def test_a_module_that_is_not_there_is_named_before_anything_is_sent(run: Run) -> None:
    lines = (
        "try:\n    fexec.call_async(run, 1, include_modules=['nowhere'])\n"
        "except lithops.errors.SerializationError as exc:\n    print(exc)\n"
    )
    assert "'nowhere'" in run("import lithops.errors\n" + lines)


def test_messages_of_a_script_go_where_its_configuration_says(run: Run, folder: Path) -> None:
    log = folder / "log.txt"
    run(
        "print(told(fexec.call_async(run, 4)))",
        log_level="DEBUG", log_filename=str(log), log_format="%(levelname)s: %(message)s",
    )  # fmt: skip
    lines = log.read_text().splitlines()
    assert lines
    assert all(line.split(":")[0] in ("DEBUG", "INFO", "WARNING") for line in lines), lines
    assert any("1 calls of run()" in line for line in lines)
