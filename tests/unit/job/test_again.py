"""Calls that run again: the function as the script has it now, and the data as they were."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from lithops import FunctionExecutor
from lithops.errors import ScriptError
from lithops.job import serialize
from lithops.job.again import call_again, load_function
from lithops.job.info import JobInfo
from lithops.job.model import Blob, Job
from lithops.state.spool import SpooledJob
from lithops.testing import FakeSession

SCRIPT = """\
import lithops
FACTOR = 3

class Tools:
    @staticmethod
    def scale(x): return x * FACTOR

def scale(x): return Tools.scale(x)

NUMBER = 5
if __name__ == "__main__":
    lithops.FunctionExecutor().call_async(scale, 1)
"""


@pytest.fixture(autouse=True)
def module_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a script that is imported stays on the path; not from test to test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("name", ["scale", "Tools.scale"])
def test_a_function_is_found_by_its_name(script: Path, name: str) -> None:
    assert load_function(str(script), name)(2) == 6


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        (SCRIPT, "none", "has no function none"),
        (SCRIPT, "NUMBER", "NUMBER of .* is no function"),
        (SCRIPT, "<lambda>", "can't be found again by its name"),
        (SCRIPT, "main.<locals>.f", "can't be found again by its name"),
        ("def f(:", "f", "can't be imported: SyntaxError"),
        ("import no_such_module", "f", "can't be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "f", "can't be imported: SystemExit"),
        (
            "import lithops\ndef f(x): return x\nlithops.FunctionExecutor().call_async(f, 1)",
            "f",
            "runs calls when it is imported",
        ),
    ],
)
def test_what_is_wrong_with_a_script(script: Path, text: str, name: str, told: str) -> None:
    before = FunctionExecutor.__dict__["_session_factory"]
    script.write_text(text)
    with pytest.raises(ScriptError, match=told):
        load_function(str(script), name)
    assert FunctionExecutor.__dict__["_session_factory"] is before


def test_a_script_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"can't be read .*--script"):
        load_function(str(tmp_path / "none.py"), "f")


def test_calls_keep_their_numbers_and_data(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    monkeypatch.setattr(FunctionExecutor, "_session_factory", staticmethod(lambda *_: session))
    job = Job(
        job_id="M000", executor_id="x-0", function_name="scale", function=Blob(sha256="f", data=b""),
        modules=None, total_calls=9, extra_env={"A": "b"}, timeout=5.0, retries=2,
    )  # fmt: skip
    payloads = {number: pickle.dumps(((number,), {})) for number in (3, 7, 8)}
    info = JobInfo(executor_id="x-0", job_id="M000", function_name="scale")
    kept = SpooledJob(job=job, info=info, payloads=payloads)
    function = load_function(str(script), "scale")
    with call_again({"lithops": {"backend": "localhost"}}, function, kept, [3, 8]) as futures:
        assert [(future._number, future.result()) for future in futures] == [(3, 9), (8, 24)]
        (submitted,) = session.jobs
    # The short name of the old job goes on to mean that one.
    assert (submitted.job_id, submitted.timeout, submitted.retries) == ("M000r", 5.0, 2)
    assert submitted.extra_env == {"A": "b"}
    assert [data for _, _, data in session.submitted] == [payloads[3], payloads[8]]


class Callable:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


def test_where_functions_were_defined() -> None:
    import functools

    here = f"{__file__}:test_where_functions_were_defined"
    assert serialize.source_of(test_where_functions_were_defined) == here
    assert serialize.source_of(functools.partial(test_where_functions_were_defined)) == here
    assert serialize.source_of(Callable().method) == f"{__file__}:Callable.method"
    assert serialize.source_of(Callable()) == serialize.source_of(len) == ""
