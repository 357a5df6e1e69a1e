"""The command of OpenSSH that goes the same way."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from lithops.shell.access import joined
from lithops.shell.equivalent import ssh_command
from lithops.ssh.target import SshTarget


def target(**fields: Any) -> SshTarget:
    return SshTarget(**{"name": "n", "address": "10.0.0.7", "username": "me", **fields})


HEAD = target(name="head", address="192.0.2.1", port=2222, key_filenames=("/k/head",), password="secret")


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (target(), "-o StrictHostKeyChecking=yes me@10.0.0.7"),
        (
            target(port=2222, host_keys="accept-new"),
            "-o StrictHostKeyChecking=accept-new -p 2222 me@10.0.0.7",
        ),
        (
            target(key_filenames=("/k/a", "/k/b"), use_agent=False, known_hosts=("/h/one", "/h/two")),
            "-i /k/a -i /k/b -o IdentitiesOnly=yes -o 'UserKnownHostsFile=/h/one /h/two' "
            "-o StrictHostKeyChecking=yes me@10.0.0.7",
        ),
        (
            target(jump=HEAD, host_key_alias="node"),
            "-o StrictHostKeyChecking=yes -o HostKeyAlias=node -o 'ProxyCommand=ssh -i /k/head "
            "-o StrictHostKeyChecking=yes -W 10.0.0.7:22 -p 2222 me@192.0.2.1' me@10.0.0.7",
        ),
    ],
)
def test_the_way_is_the_same(to: SshTarget, words: str) -> None:
    assert ssh_command(to, with_terminal=True) == ["ssh", *shlex.split(words)]


def test_a_second_jump_is_inside_of_the_first() -> None:
    far = target(jump=target(name="b", address="10.0.0.8", jump=HEAD))
    (option,) = [word for word in ssh_command(far, with_terminal=False) if word.startswith("ProxyCommand=")]
    outer = shlex.split(option.removeprefix("ProxyCommand="))
    assert outer[-3:] == ["-W", "10.0.0.7:22", "me@10.0.0.8"]
    (inner,) = [word for word in outer if word.startswith("ProxyCommand=")]
    assert shlex.split(inner.removeprefix("ProxyCommand="))[-5:] == [
        "-W", "10.0.0.8:22", "-p", "2222", "me@192.0.2.1",
    ]  # fmt: skip


def test_no_password_is_shown() -> None:
    assert "secret" not in " ".join(ssh_command(target(jump=HEAD, password="secret"), with_terminal=True))


def test_a_command_gets_a_terminal_when_it_is_to_have_one() -> None:
    assert ssh_command(target(), "top", with_terminal=True)[-3:] == ["-t", "me@10.0.0.7", "top"]
    assert "-t" not in ssh_command(target(), "top", with_terminal=False)


@pytest.mark.parametrize(
    ("words", "command"), [(("ls *; pwd",), "ls *; pwd"), (("printf", "%s", "a b"), "printf %s 'a b'")]
)
def test_one_word_is_a_shell_command_and_several_are_arguments(words: tuple[str, ...], command: str) -> None:
    assert joined(words) == command
