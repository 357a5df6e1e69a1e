"""The program: ``serve`` runs an agent in the foreground, ``start`` makes sure that one runs.

This is the composition root of the agent: the environment, the clock and the files that tell
others where it listens are touched here.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lithops_agent.launch import Busy, LaunchFailed, ensure_running, release_of
from lithops_agent.statefile import EXIT_BUSY, EXIT_FAILED, StateFile, boot_id

_THREADS = 64
_KEEPALIVE = 3600


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code is 0, 1 (failed) or 75 (another version is at work)."""
    options = _parser().parse_args(arguments)
    home = Path(options.home).expanduser().absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.command == "serve":
        serve(home, options)
        return 0
    try:
        sys.stdout.write(ensure_running(home, _program(), _serve_options(options), options.unit) + "\n")
        return 0
    except Busy as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_BUSY
    except LaunchFailed as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lithops-agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("serve", "run in the foreground"), ("start", "make sure that an agent runs")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--home", required=True, help="folder of the agent's files")
        command.add_argument("--processes", type=int, default=0, help="calls at a time; 0: as many as CPUs")
        command.add_argument("--soft", type=float, default=300.0, help="soft dismantle, s; negative: never")
        if name == "start":
            command.add_argument("--unit", choices=("none", "system", "user"), default="none")
    return parser


def _serve_options(options: argparse.Namespace) -> list[str]:
    return ["--processes", str(options.processes), "--soft", str(options.soft)]


def _program() -> str:
    """What this program was started from: the bundle, or the folder of the sources."""
    return os.path.abspath(sys.argv[0])


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def worker_path(home: Path) -> str:
    """What workers import from: the inner archive of the bundle, unpacked beside it."""
    program = Path(_program())
    if not zipfile.is_zipfile(program):
        raise LaunchFailed(f"{program} is not an agent bundle")
    target = program.with_name(f"{program.stem}-worker.zip")
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
    path = worker_path(home)
    ports: list[int] = []

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for key, value in _gunicorn_settings(home).items():
                self.cfg.set(key, value)
            self.cfg.set("when_ready", lambda server: ports.append(server.LISTENERS[0].sock.getsockname()[1]))
            self.cfg.set("on_exit", lambda server: state.remove())

        def load(self) -> Any:
            return _compose(home, options, path, token, state, ports[0])

    Application().run()
    lock.close()


def _gunicorn_settings(home: Path) -> dict[str, Any]:
    return {
        "bind": "127.0.0.1:0",
        "workers": 1,
        "worker_class": "gthread",
        "threads": _THREADS,
        "keepalive": _KEEPALIVE,
        "timeout": 300,
        "graceful_timeout": 1,
        "loglevel": "warning",
        "proc_name": "lithops-agent",
        "worker_tmp_dir": str(home),
    }


def _compose(
    home: Path, options: argparse.Namespace, path: str, token: str, state: StateFile, port: int
) -> Any:
    from lithops_agent.api import create_app
    from lithops_agent.keeper import Policy
    from lithops_agent.service import Agent
    from lithops_agent.version import __version__

    arbiter = os.getppid()

    def end(reason: str) -> None:
        try:
            sys.stderr.write(f"the agent ends: {reason}\n")
        except OSError:
            pass  # The reason may be that nothing can be written.
        state.remove()
        os.kill(arbiter, signal.SIGTERM)

    bundle = release_of(_program())
    agent = Agent(
        home,
        processes=options.processes or cpu_count(),
        worker_path=path,
        bundle=bundle,
        policy=Policy(soft=options.soft if options.soft >= 0 else None, hard=None),
        end=end,
    )
    agent.start()
    state.write(
        {
            "port": port,
            "token": token,
            "agent_id": agent.info()["agent_id"],
            "version": __version__,
            "bundle": bundle,
            "pid": arbiter,
            "boot_id": boot_id(),
        }
    )
    return create_app(agent, token)


if __name__ == "__main__":
    sys.exit(main())
