"""Whom to connect to, and as whom: the configuration merged with ``~/.ssh/config``. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lithops.errors import HostError
from lithops.ssh.client_config import Options

HostKeyPolicy = Literal["strict", "accept-new"]

DEFAULT_PORT = 22
DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
DEFAULT_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_MAX_JUMPS = 8

Lookup = Callable[[str, "str | None"], Options]
"""Gives the options of ``~/.ssh/config`` for a host name (and the user, when that is known)."""


@dataclass(frozen=True, kw_only=True)
class SshTarget:
    """Everything that a connection needs to know. Secrets are left out of ``repr``.

    ``key_filenames`` are keys that were named for this host, ``default_key_filenames`` those that
    are tried because they are usual. ``known_hosts`` are read in this order and the first one is
    written to.
    """

    name: str
    address: str
    username: str
    port: int = DEFAULT_PORT
    key_filenames: tuple[str, ...] = ()
    default_key_filenames: tuple[str, ...] = ()
    use_agent: bool = True
    password: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    jump: SshTarget | None = None
    host_keys: HostKeyPolicy = "strict"
    known_hosts: tuple[str, ...] = ()
    host_key_alias: str | None = None

    @property
    def where(self) -> str:
        """Address and port, for messages."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Login:
    """Facts of this side that targets are resolved with: who we are, and how ssh is configured."""

    user: str
    home: str
    lookup: Lookup = lambda host, user: {}
    environ: Mapping[str, str] = field(default_factory=dict)


def resolve_target(
    address: str,
    *,
    login: Login,
    name: str | None = None,
    username: str | None = None,
    port: int | None = None,
    key_filename: str | Sequence[str] | None = None,
    password: str | None = None,
    key_passphrase: str | None = None,
    jump: str | None = None,
    host_keys: HostKeyPolicy | None = None,
    known_hosts: str | Sequence[str] | None = None,
) -> SshTarget:
    """Merge what the configuration says with ``~/.ssh/config`` and the defaults, in this order.

    Raises `HostError` for a ``ProxyJump`` that leads in a circle or a port that is no number.
    """
    options = login.lookup(address, username)
    name = name or address
    hostname = _first(options, "hostname", address).replace("%h", address).replace("%%", "%")
    username = username or _first(options, "user", login.user)
    port = port or _port(_first(options, "port", str(DEFAULT_PORT)), name)
    expand = _Expander(login, address, hostname, port, username)
    explicit_keys = (key_filename,) if isinstance(key_filename, str) else tuple(key_filename or ())
    configured_keys = tuple(key for key in options.get("identityfile", ()) if key.lower() != "none")
    only_these = _first(options, "identitiesonly", "no").lower() == "yes"
    use_defaults = not only_these and not configured_keys
    return SshTarget(
        name=name,
        address=hostname,
        port=port,
        username=username,
        key_filenames=expand.all((*explicit_keys, *configured_keys)),
        default_key_filenames=expand.all(DEFAULT_IDENTITIES) if use_defaults else (),
        use_agent=not only_these and _first(options, "identityagent", "").lower() != "none",
        password=password,
        passphrase=key_passphrase,
        jump=_resolve_jump(jump or _first(options, "proxyjump", "none"), login, host_keys, known_hosts, name),
        host_keys=host_keys or _policy(_first(options, "stricthostkeychecking", "yes")),
        known_hosts=expand.all(_known_hosts(known_hosts, options)),
        host_key_alias=_first(options, "hostkeyalias", "") or None,
    )


def _resolve_jump(
    chain: str,
    login: Login,
    host_keys: HostKeyPolicy | None,
    known_hosts: str | Sequence[str] | None,
    name: str,
) -> SshTarget | None:
    """Resolve ``[user@]host[:port],…``; the last hop is the one next to the host."""
    hops = _expand_hops(chain, login, name)
    target: SshTarget | None = None
    for hop in hops:
        user, host, port = split_endpoint(hop, name)
        # The hops are all in the list already, so a hop's own ProxyJump must not count again.
        plain = Login(user=login.user, home=login.home, environ=login.environ, lookup=_without_jump(login))
        resolved = resolve_target(
            host, login=plain, username=user, port=port, host_keys=host_keys, known_hosts=known_hosts
        )
        target = _with_jump(resolved, target)
    return target


def _expand_hops(chain: str, login: Login, name: str) -> list[str]:
    """The hops from us to the host, with the ``ProxyJump`` of the first hop itself in front."""
    hops: list[str] = []
    while chain.lower() != "none":
        here = [hop.strip() for hop in chain.split(",") if hop.strip()]
        hops = here + hops
        if not here or len(hops) > _MAX_JUMPS:
            raise HostError(
                f"its ProxyJump leads in a circle or over more than {_MAX_JUMPS} hosts: {chain}",
                host=name,
                phase="connect",
            )
        user, host, _ = split_endpoint(here[0], name)
        chain = _first(login.lookup(host, user), "proxyjump", "none")
    return hops


def _without_jump(login: Login) -> Lookup:
    def lookup(host: str, user: str | None) -> Options:
        return {key: value for key, value in login.lookup(host, user).items() if key != "proxyjump"}

    return lookup


def _with_jump(target: SshTarget, jump: SshTarget | None) -> SshTarget:
    return SshTarget(**{**target.__dict__, "jump": jump})


def split_endpoint(text: str, name: str = "") -> tuple[str | None, str, int | None]:
    """Split ``[ssh://][user@]host[:port]`` (an IPv6 address with a port stands in brackets)."""
    text = text.removeprefix("ssh://").rstrip("/")
    user, _, rest = text.rpartition("@")
    match = re.fullmatch(
        r"\[(?P<six>[^]]+)\](?::(?P<p6>\d+))?|(?P<host>[^:]+)(?::(?P<p4>\d+))?|(?P<bare>.+)", rest
    )
    if match is None:
        raise HostError(f"not a jump host: {text!r}", host=name, phase="connect")
    port = match["p6"] or match["p4"]
    return user or None, match["six"] or match["host"] or match["bare"], int(port) if port else None


def _first(options: Options, key: str, default: str) -> str:
    values = options.get(key)
    return values[0] if values else default


def _port(text: str, name: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise HostError(f"the Port of ~/.ssh/config is not a port: {text!r}", host=name, phase="connect")
    return int(text)


def _policy(text: str) -> HostKeyPolicy:
    # What OpenSSH calls "no" also connects when a key has changed; that is never done here.
    return "accept-new" if text.lower() in ("accept-new", "no", "off") else "strict"


def _known_hosts(explicit: str | Sequence[str] | None, options: Options) -> tuple[str, ...]:
    if explicit is not None:
        return (explicit,) if isinstance(explicit, str) else tuple(explicit)
    own = options.get("userknownhostsfile", DEFAULT_KNOWN_HOSTS)
    shared = options.get("globalknownhostsfile", SYSTEM_KNOWN_HOSTS)
    return tuple(path for path in (*own, *shared) if path.lower() != "none")


@dataclass(frozen=True)
class _Expander:
    """Replaces ``~``, ``${NAME}`` and the tokens of ssh_config(5) in paths."""

    login: Login
    original: str
    hostname: str
    port: int
    username: str

    def all(self, paths: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.one(path) for path in paths))

    def one(self, path: str) -> str:
        tokens = {
            "%": "%",
            "d": self.login.home,
            "h": self.hostname,
            "n": self.original,
            "p": str(self.port),
            "r": self.username,
            "u": self.login.user,
        }
        path = re.sub(r"\$\{(\w+)\}", lambda m: self.login.environ.get(m[1], m[0]), path)
        path = re.sub(r"%(.)", lambda m: tokens.get(m[1], m[0]), path)
        if path == "~" or path.startswith("~/"):
            return self.login.home + path[1:]
        return path if os.path.isabs(path) else os.path.expanduser(path)
