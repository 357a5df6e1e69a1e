"""The frame of the command: its table, its options, its exit codes, its speed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from lithops import __version__
from lithops.cli.commands import ROOT, Entry
from lithops.cli.docs import main as docs
from lithops.cli.invocation import Command, Invocation, ListCommand
from lithops.cli.main import LazyGroup, cli
from lithops.errors import ConfigError, HostUnknown, HostUnreachable, JobUnknown
from tests.unit.cli.conftest import Lithops


def leaves(
    entries: tuple[Entry, ...] = ROOT, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Entry]]:
    for entry in entries:
        if entry.entries:
            yield from leaves(tuple(entry.entries), (*path, entry.name))
        else:
            yield (*path, entry.name), entry


LEAVES = [pytest.param(path, entry, id=" ".join(path)) for path, entry in leaves()]


@pytest.mark.parametrize(("path", "entry"), LEAVES)
def test_every_command_has_the_common_options_and_a_help_text_with_examples(
    path: tuple[str, ...], entry: Entry, lithops: Lithops
) -> None:
    done = lithops(*path, "--help")
    assert done.exit_code == 0, done.output
    for option in ("-c, --config", "-b, --backend", "-s, --storage", "-d, --debug", "-h, --help"):
        assert option in done.stdout
    assert "Examples:" in done.stdout
    assert f"  lithops {' '.join(path)}" in done.stdout
    assert entry.summary.endswith(".")


@pytest.mark.parametrize(("path", "entry"), LEAVES)
def test_every_command_is_one_of_ours(path: tuple[str, ...], entry: Entry) -> None:
    group: click.Command = cli
    for name in path:
        assert isinstance(group, LazyGroup)
        found = group.get_command(click.Context(group), name)
        assert found is not None
        group = found
    assert isinstance(group, Command), "its failures would end in a traceback"
    assert group.name == path[-1]


def test_the_version(lithops: Lithops) -> None:
    assert lithops("--version").stdout == f"lithops-standalone {__version__}\n"


def test_it_is_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lithops", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout


def test_help_imports_nothing_that_is_slow() -> None:
    script = (
        "import sys; from lithops.cli.main import cli; cli.main(['--help'], standalone_mode=False); "
        "print('SLOW', *{'rich', 'paramiko', 'yaml', 'flask', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "SLOW"


def test_a_name_that_is_nearly_right_is_told(lithops: Lithops) -> None:
    done = lithops("confg")
    assert done.exit_code == 2
    assert "No such command 'confg'; did you mean `config`?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "backend"), [(("-b", "vm", "run"), "vm"), (("run", "-b", "vm"), "vm"), (("run",), None)]
)
def test_options_may_stand_before_and_behind_the_command(
    arguments: tuple[str, ...], backend: str | None, monkeypatch: pytest.MonkeyPatch, lithops: Lithops
) -> None:
    seen: list[Invocation] = []

    @click.command("run", cls=ListCommand)
    @click.pass_obj
    def run(invocation: Invocation) -> None:
        seen.append(invocation)

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: run)
    assert lithops(*arguments).exit_code == 0
    assert [invocation.backend for invocation in seen] == [backend]


FAILURES = [
    (ConfigError("wrong"), 1, "Error: wrong\n"),
    (HostUnreachable("no route", host="a"), 1, "Error: host a: no route\n"),
    (JobUnknown("no job"), 3, "Error: no job\n"),
    (HostUnknown("no host"), 3, "Error: no host\n"),
    (PermissionError(13, "Permission denied", "/x"), 1, "Error: [Errno 13] Permission denied: '/x'\n"),
    (KeyboardInterrupt(), 130, "Error: interrupted\n"),
    (
        RuntimeError("odd"),
        1,
        "Error: an error that should not occur: RuntimeError: odd (--debug shows where)\n",
    ),
    (
        click.UsageError("bad"),
        2,
        "Usage: lithops run [OPTIONS]\nTry 'lithops run -h' for help.\n\nError: bad\n",
    ),
]


@pytest.mark.parametrize(("failure", "code", "message"), FAILURES)
def test_failures_end_in_a_sentence_and_a_code(
    failure: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, lithops: Lithops
) -> None:
    @click.command("run", cls=Command)
    def run() -> None:
        raise failure

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: run)
    done = lithops("run")
    assert (done.exit_code, done.stderr, done.stdout) == (code, message, "")
    done = lithops("run", "--debug")
    assert done.exit_code == code
    told = not isinstance(failure, (click.ClickException, KeyboardInterrupt))
    assert ("Traceback" in done.stderr) is told


def test_the_page_of_commands_is_not_stale(request: pytest.FixtureRequest) -> None:
    assert docs(["--check", str(request.config.rootpath / "docs" / "cli.md")]) == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, lithops: Lithops) -> None:
    done = lithops("completion", shell)
    assert done.exit_code == 0
    assert "_LITHOPS_COMPLETE" in done.stdout


def test_bash_completes_commands(home: object) -> None:
    script = (
        'eval "$(lithops completion bash)" && COMP_WORDS=(lithops config v) && COMP_CWORD=2 && '
        '_lithops_completion lithops v config && echo "${COMPREPLY[@]}"'
    )
    path = f"{sys.executable.rpartition('/')[0]}:/usr/bin:/bin"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={"PATH": path})
    assert (done.stdout, done.returncode) == ("validate\n", 0), done.stderr
