"""The program: ``serve`` runs an agent in the foreground, ``start`` makes sure that one runs, ``end`` ends
what is left of one, and ``fence`` is the second fence (see `lithops_agent.fence`).

This is the composition root of the agent: the environment, the clock and the files that tell
others where it listens are touched here.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_agent import clearing, cloud, fence
from lithops_agent.instants import Instant, SystemClock
from lithops_agent.launch import Busy, LaunchFailed, Vanished, ensure_running, release_of
from lithops_agent.protocol import ENDINGS
from lithops_agent.statefile import EXIT_BUSY, EXIT_FAILED, EXIT_VANISHED, StateFile, boot_id
from lithops_agent.systemd import UNITS

if TYPE_CHECKING:
    from lithops_agent.caretaker import Ending

_THREADS = 64
_KEEPALIVE = 3600


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code is 0, 1 (failed), 2 (removed meanwhile) or 75 (another version works)."""
    options = _parser().parse_args(arguments)
    home = Path(options.home).expanduser().absolute()
    if options.command == "end":
        return fence.end(str(home), options.ending)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.command == "serve":
        serve(home, options)
        return 0
    try:
        if options.cloud is not None:
            cloud.keep(str(home), options.cloud)
        orders = fence.Orders(_deadline(options), options.ending, options.unit, _program())
        sys.stdout.write(ensure_running(home, orders, _serve_options(options)) + "\n")
        return 0
    except Busy as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_BUSY
    except Vanished as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_VANISHED
    except LaunchFailed as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lithops-agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("serve", "run in the foreground"),
        ("start", "make sure that an agent runs"),
        ("end", "end what is left of an agent"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--home", required=True, help="folder of the agent's files")
        command.add_argument(
            "--ending", choices=ENDINGS, default=clearing.REMOVE, help="what becomes of the host"
        )
        if name == "end":
            continue
        command.add_argument("--processes", type=int, default=0, help="calls at a time; 0: as many as CPUs")
        command.add_argument("--soft", type=float, default=300.0, help="soft dismantle, s; negative: never")
        command.add_argument("--unit", choices=UNITS, default="none", help="who restarts it")
        if name == "start":
            command.add_argument(
                "--cloud", type=cloud.CloudIdentity.from_text, help="how the machine ends itself, as JSON"
            )
        command.add_argument(
            "--begun", type=_instant, default=SystemClock().now(), help="when the host was asked to run it"
        )
    return parser


def _instant(text: str) -> Instant:
    return Instant.from_json(json.loads(text))


def _deadline(options: argparse.Namespace) -> Instant | None:
    begun: Instant = options.begun
    return begun.plus(options.soft) if options.soft >= 0 else None


def _serve_options(options: argparse.Namespace) -> list[str]:
    begun = json.dumps(options.begun.to_json(), separators=(",", ":"))
    return [
        "--processes", str(options.processes), "--soft", str(options.soft), "--ending", options.ending,
        "--unit", options.unit, "--begun", begun,
    ]  # fmt: skip


def _program() -> str:
    """What this program was started from: the bundle, or the folder of the sources."""
    return os.path.abspath(sys.argv[0])


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def worker_path(home: Path) -> str:
    """What workers import from: the inner archive of the bundle, unpacked beside it.

    A bundle that the host was prepared with may lie in a folder of root's: then it goes to the agent's files.
    """
    program = Path(_program())
    if not zipfile.is_zipfile(program):
        raise LaunchFailed(f"{program} is not an agent bundle")
    target = program.with_name(f"{program.stem}-worker.zip")
    if not target.exists() and not os.access(target.parent, os.W_OK):
        target = home / "bundles" / target.name
        target.parent.mkdir(mode=0o700, exist_ok=True)
    if not target.exists():
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        with zipfile.ZipFile(program) as bundle:
            temporary.write_bytes(bundle.read("worker.zip"))
        temporary.rename(target)
    return str(target)


def serve(home: Path, options: argparse.Namespace) -> None:
    """Run an agent until it is told to end."""
    from gunicorn.app.base import BaseApplication

    state = StateFile(home)
    token = state.token() or secrets.token_urlsafe(32)
    # An agent is the only one of its home folder; the lock goes with the process.
    lock = state.lock("serve")
    os.environ[clearing.HOME_VARIABLE] = str(home)
    path = worker_path(home)
    ports: list[int] = []
    farewell = Farewell(state, options.unit)

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for key, value in _gunicorn_settings(home).items():
                self.cfg.set(key, value)
            self.cfg.set("when_ready", lambda server: ports.append(server.LISTENERS[0].sock.getsockname()[1]))
            self.cfg.set("on_exit", lambda server: farewell.carry_out())

        def load(self) -> Any:
            return _compose(home, options, path, token, state, ports[0], farewell)

    Application().run()
    lock.close()


class Farewell:
    """How the agent ends: the process that answers says it, and the one above it, which is last, does it."""

    def __init__(self, state: StateFile, unit: str) -> None:
        self._state = state
        self._unit = unit
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)

    def say(self, ending: Ending) -> None:
        """End in this way."""
        try:
            sys.stderr.write(f"the agent ends: {ending.reason}\n")
        except OSError:
            pass  # The reason may be that nothing can be written.
        os.write(self._write, json.dumps([ending.how, ending.with_work]).encode())
        if ending.how == clearing.LEAVE:
            self._state.remove()
        os.kill(os.getppid(), signal.SIGTERM)

    def carry_out(self) -> None:
        """Remove what has to go. An agent that was only told to stop leaves all as it is."""
        try:
            how, with_work = json.loads(os.read(self._read, 4096))
        except BlockingIOError:
            how, with_work = clearing.LEAVE, False
        if how == clearing.LEAVE:
            self._state.remove()
        else:
            fence.leave(str(self._state.home), self._unit, _program(), how, with_work=with_work)


def _gunicorn_settings(home: Path) -> dict[str, Any]:
    from lithops_agent.connections import ConnectionWorker

    return {
        "bind": "127.0.0.1:0",
        "workers": 1,
        "worker_class": ConnectionWorker,
        "threads": _THREADS,
        "keepalive": _KEEPALIVE,
        "timeout": 300,
        "graceful_timeout": 1,
        "loglevel": "warning",
        "proc_name": "lithops-agent",
        "worker_tmp_dir": str(home),
    }


def _compose(
    home: Path,
    options: argparse.Namespace,
    path: str,
    token: str,
    state: StateFile,
    port: int,
    farewell: Farewell,
) -> Any:
    from lithops_agent.api import create_app
    from lithops_agent.keeper import Policy
    from lithops_agent.service import Agent
    from lithops_agent.version import __version__

    bundle = release_of(_program())
    clock = SystemClock()
    agent = Agent(
        home,
        processes=options.processes or cpu_count(),
        worker_path=path,
        bundle=bundle,
        policy=Policy(soft=options.soft if options.soft >= 0 else None, hard=None),
        ending=options.ending,
        begun=options.begun,
        end=farewell.say,
        fence=fence.Outpost(str(home), options.unit, _program(), clock),
        clock=clock,
    )
    # Before any call runs: what can't be written ends the process, and that is not the fault of a call.
    state.write(
        {
            "port": port,
            "token": token,
            "agent_id": agent.info()["agent_id"],
            "version": __version__,
            "bundle": bundle,
            "pid": os.getppid(),
            "boot_id": boot_id(),
        }
    )
    agent.start()
    return create_app(agent, token)


if __name__ == "__main__":
    sys.exit(main())
