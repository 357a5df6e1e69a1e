"""Look at a host: what the probe asks, what its answer means, and which interpreter to take. Pure."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from lithops.config.runtime import is_image
from lithops.errors import BootstrapError, PythonNotFound

AGENT_DIR = ".lithops/agent"
"""The agent's folder, below the home on a host."""
PREPARED_DIRS = ("~/.local/lib/lithops-agent", "/usr/local/lib/lithops-agent")
"""Where whoever prepares a host puts bundles, for one login or for all. No dismantle removes these."""
OLDEST = (3, 9)

Unit = Literal["system", "user", "none"]
Version = tuple[int, int]


@dataclass(frozen=True)
class Interpreter:
    """A Python on the host; ``version`` is as full as is known without starting it."""

    version: str
    path: str

    @property
    def minor(self) -> Version | None:
        """The version as (3, 12); None when it can't be read."""
        match = re.match(r"(\d+)\.(\d+)", self.version)
        return (int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What the probe found. Without a live agent of the wanted bundle, everything is filled in."""

    home: str
    user: str
    uid: int
    agent: dict[str, Any] | None = field(default=None, repr=False)
    """The state of the agent that is alive there: port, token, agent_id, version, bundle, pid."""
    pythons: tuple[Interpreter, ...] = ()
    working: Interpreter | None = None
    """The first interpreter of the wanted version that could be started."""
    explicit: Interpreter | None = None
    cpus: int | None = None
    writable: bool = True
    why_not_writable: str = ""
    free_bytes: int | None = None
    bundle_size: int = 0
    """Size of the wanted bundle there; 0: it is missing."""
    prepared: str = ""
    """The bundle that the host was prepared with, if that is of the wanted release."""
    prepared_size: int = 0
    systemd: bool = False
    sudo: bool = False
    root: bool = False
    """Whether this login is root, or sudo makes it root without a password; asked for only."""
    linger: bool = False
    user_manager: bool = False

    @property
    def agent_home(self) -> str:
        """The agent's folder."""
        return f"{self.home}/{AGENT_DIR}"


def bundle_id(name: str) -> str:
    """What an agent calls the bundle it runs: the release in the file's name."""
    return name.removeprefix("agent-").partition("-")[0]


def probe_command(bundle: str, wanted: Version, runtime: str, *, root: bool = False) -> tuple[str, bytes]:
    """The command, and what to feed it. The script goes by stdin, so the login shell does not matter.

    ``root``: find out whether the login has root's rights, too.
    """
    variables = {
        "agent_dir": AGENT_DIR,
        "bundle": bundle,
        "bundle_id": bundle_id(bundle),
        "prepared_dirs": ":".join(PREPARED_DIRS),
        "want": f"{wanted[0]}.{wanted[1]}",
        "explicit": explicit_runtime(runtime) or "",
        "ask_root": "1" if root else "",
    }
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    script = files("lithops.bootstrap").joinpath("probe.sh").read_text(encoding="utf-8")
    return "sh -s", (head + script).encode()


def explicit_runtime(runtime: str) -> str | None:
    """The interpreter that the configuration names; None for ``python3``, which means the matching one.

    An image has an interpreter of its own, and the agent runs with the one that fits best.
    """
    return None if runtime in ("", "python", "python3") or is_image(runtime) else runtime


def parse_probe(text: str, host: str = "") -> HostFacts:
    """Read the answer; raises `BootstrapError` when it is not whole.

    Lines before the first of ours come from the login shell's start files and are passed over.
    """
    lines = text.splitlines()
    if "lithops_probe=1" not in lines or "end=1" not in lines:
        said = text.strip()[-300:] or "nothing"
        raise BootstrapError(f"its shell did not run the probe; it said: {said}", host=host, phase="probe")
    pairs = [line.partition("=")[::2] for line in lines[lines.index("lithops_probe=1") :]]
    values = dict(pairs)
    found = dict.fromkeys(value for key, value in pairs if key == "python")
    return HostFacts(
        home=values["home"].rstrip("/"),
        user=values["user"],
        uid=int(values["uid"]),
        agent=_agent(values),
        pythons=tuple(Interpreter(path.rpartition("/python")[2], path) for path in found),
        working=_interpreter(values.get("ok")),
        explicit=_interpreter(values.get("explicit")),
        cpus=_int(values.get("cpus")),
        writable=values.get("writable", "1") == "1",
        why_not_writable=values.get("why_not", ""),
        free_bytes=None if (free := _int(values.get("free_kb"))) is None else free * 1024,
        bundle_size=_int(values.get("bundle_size")) or 0,
        prepared=values.get("prepared", ""),
        prepared_size=_int(values.get("prepared_size")) or 0,
        systemd="systemd" in values,
        sudo="sudo" in values,
        root="root" in values,
        linger="linger" in values,
        user_manager="user_manager" in values,
    )


def _agent(values: dict[str, str]) -> dict[str, Any] | None:
    if values.get("alive") != "1":
        return None
    try:
        state = json.loads(values.get("state", ""))
    except ValueError:
        return None
    return state if isinstance(state, dict) else None


def _interpreter(text: str | None) -> Interpreter | None:
    version, _, path = (text or "").partition(" ")
    return Interpreter(version, path) if path else None


def _int(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def choose_unit(facts: HostFacts) -> Unit:
    """Who keeps the agent running: systemd where this login may ask it to, else the agent itself.

    A user's own unit needs linger, or it would end with the login. Linger is not switched on for it: the
    host is to be left as it was found.
    """
    if facts.systemd and (facts.uid == 0 or facts.sudo):
        return "system"
    if facts.systemd and facts.linger and facts.user_manager:
        return "user"
    return "none"


def check_power(facts: HostFacts, host: str = "") -> None:
    """Refuse a host that could not be switched off at its deadline."""
    if not facts.root:
        message = (
            f"standalone.poweroff needs root, and the login {facts.user} is not root and can't become root "
            "by sudo without a password: log in as root, add a rule such as "
            f"`{facts.user} ALL=(ALL) NOPASSWD: ALL` to /etc/sudoers, or set poweroff to false"
        )
        raise BootstrapError(message, host=host, phase="probe")


def choose_python(facts: HostFacts, wanted: Version, runtime: str, host: str = "") -> str:
    """The interpreter to run with; raises `PythonNotFound` that says what is there and what to do."""
    version = f"{wanted[0]}.{wanted[1]}"
    explicit = explicit_runtime(runtime)
    if explicit is None and facts.working is not None:
        return facts.working.path
    usable = [each for each in facts.pythons if each.minor is not None and each.minor >= OLDEST]
    if usable and is_image(runtime):
        return usable[0].path
    if explicit is None:
        raise PythonNotFound(_nothing_fits(facts, version), host=host, phase="probe")
    if facts.explicit is None:
        message = f"the runtime {explicit!r} is not an interpreter that can be started there. {_found(facts)}"
        raise PythonNotFound(message, host=host, phase="probe")
    if facts.explicit.minor != wanted:
        message = (
            f"the runtime {explicit!r} is Python {facts.explicit.version}, and functions that were pickled "
            f"by Python {version} need {version}: name another interpreter, or run the script with "
            f"Python {_short(facts.explicit)}"
        )
        raise PythonNotFound(message, host=host, phase="probe")
    return facts.explicit.path


def _nothing_fits(facts: HostFacts, version: str) -> str:
    install = f"install it there (apt-get install python{version}, or uv python install {version})"
    usable = [each for each in facts.pythons if each.minor is not None and each.minor >= OLDEST]
    if not facts.pythons:
        return f"there is no Python 3 on it, and functions need Python {version}: {install}"
    if not usable:
        oldest = f"{OLDEST[0]}.{OLDEST[1]}"
        needs = f"functions need {version}, and nothing below {oldest} works"
        return f"its Python is too old: {needs}: {install}. {_found(facts)}"
    return (
        f"it has no Python {version}, and functions that were pickled by Python {version} need the same: "
        f"{install}, or run the script with Python {_short(usable[0])}, or name an interpreter as runtime. "
        f"{_found(facts)}"
    )


def _short(python: Interpreter) -> str:
    return ".".join(map(str, python.minor)) if python.minor else python.version


def _found(facts: HostFacts) -> str:
    listed = ", ".join(f"{each.version} ({each.path})" for each in facts.pythons)
    return f"Found: {listed}" if listed else "Found: no Python 3"
