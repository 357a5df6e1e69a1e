"""One host: how it is written, and how the program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lithops.config.check import check_section, similar_key
from lithops.config.keys import Key, Section
from lithops.config.kinds import AUTO, Problem, Processes, Refused, Text, Whole

_FORM = "must be `address`, `user@address`, `address:port` or `user@address:port`"


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """A host to reach over SSH. `None` leaves it to `~/.ssh/config`, the SSH agent and the defaults."""

    name: str
    """What the user calls it: the name of the inventory, or the address."""
    address: str
    username: str | None = None
    port: int | None = None
    key_filename: str | None = None
    processes: int | None = None
    """How many worker processes run at the same time; `None`: as many as the host has CPUs."""
    jump: str | None = None
    """Jump hosts as of ssh's ProxyJump: `[user@]address[:port]`, several with commas."""
    password: str | None = field(default=None, repr=False)
    key_passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An address with the user and port that stood with it."""

    address: str
    username: str | None = None
    port: int | None = None


def parse_address(text: str) -> Endpoint:
    """Read `[user@]address[:port]`; an IPv6 address with a port stands in brackets.

    Raises `Refused`, with a message that does not repeat the text, which may hold a password by mistake.
    """
    username, at, rest = text.strip().rpartition("@")
    if ":" in username:
        raise Refused("a password does not belong in an address: use the key for passwords")
    address, port = _split_port(rest)
    odd = any(ch.isspace() or ch in "@/,'\"[]" or not ch.isprintable() for ch in address + username)
    if not address or address.startswith("-") or username.startswith("-") or odd or (at and not username):
        raise Refused(_FORM)
    if port is None:
        return Endpoint(address=address, username=username or None)
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
        raise Refused(f"{_FORM}, with a port from 1 to 65535")
    return Endpoint(address=address, username=username or None, port=int(port))


def _split_port(rest: str) -> tuple[str, str | None]:
    if rest.startswith("["):
        address, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise Refused(_FORM)
        return address, tail[1:] if tail else None
    if rest.count(":") == 1:
        address, _, port = rest.partition(":")
        return address, port
    return rest, None  # No port, or the colons of a bare IPv6 address.


@dataclass(frozen=True, kw_only=True)
class Address:
    """Kind: the address of a host."""

    name: str = "an address (`host`, `user@host` or `user@host:port`)"

    def take(self, value: object) -> str:
        if not isinstance(value, str):
            raise Refused
        parse_address(value)
        return value.strip()


@dataclass(frozen=True, kw_only=True)
class Jump:
    """Kind: one or more jump hosts."""

    name: str = "an address, or several with commas"

    def take(self, value: object) -> str:
        if not isinstance(value, str):
            raise Refused
        for part in value.split(","):
            parse_address(part)
        return value.replace(" ", "")


HOST = Section(
    name="host",
    doc="Each entry of `vm.hosts` is an address, or these keys. They win over those of `vm`.",
    keys=(
        Key(name="address", kind=Address(), mandatory=True, doc="As `vm.ip_address`."),
        Key(name="username", kind=Text(), default_doc="`vm.ssh_username`", doc="The login."),
        Key(name="port", kind=Whole(maximum=65535), default_doc="`vm.ssh_port`", doc="The port of sshd."),
        Key(
            name="key", kind=Text(name="a path"), default_doc="`vm.ssh_key_filename`", doc="The private key."
        ),
        Key(name="password", kind=Text(), secret=True, default_doc="`vm.ssh_password`", doc="The password."),
        Key(
            name="processes",
            kind=Processes(),
            default_doc="`vm.worker_processes`",
            doc="How many worker processes run at the same time.",
        ),
        Key(
            name="jump",
            kind=Jump(),
            default_doc="`ProxyJump` of `~/.ssh/config`",
            doc="The host, or hosts with commas, to go through: `user@address:port`.",
        ),
    ),
)


def host_from(entry: object, *, processes: str | int = AUTO) -> HostSettings:
    """Read one entry of a list of hosts, with the number of processes that counts where it names none.

    Raises `Refused`, with all that is wrong with it.
    """
    if isinstance(entry, str):
        end = parse_address(entry)
        return _host_from_keys({"address": entry}, end, processes)
    if not isinstance(entry, Mapping):
        raise Refused("must be an address, or a section with `address` and other keys")
    values, problems = check_section(HOST, entry, "", find=HOST.find, hint=similar_key(HOST))
    if problems:
        raise Refused(problems=tuple(problems))
    return _host_from_keys(values, parse_address(values["address"]), processes)


def _host_from_keys(values: Mapping[str, Any], end: Endpoint, default_processes: str | int) -> HostSettings:
    username, port = values.get("username"), values.get("port")
    problems = tuple(
        Problem(path=f".{name}", text="contradicts what stands in `address`")
        for name, inside, beside in (("username", end.username, username), ("port", end.port, port))
        if inside is not None and beside is not None and inside != beside
    )
    if problems:
        raise Refused(problems=problems)
    processes = values.get("processes", default_processes)
    return HostSettings(
        name=end.address,
        address=end.address,
        username=username or end.username,
        port=port or end.port,
        key_filename=values.get("key"),
        processes=None if processes == AUTO else processes,
        jump=values.get("jump"),
        password=values.get("password"),
    )
