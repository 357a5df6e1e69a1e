"""Names of things in the cloud."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.backends.ibm_vpc.names import ROLES, Name, Scope, parse

CLIENT = "0123abcd"
VALID = re.compile(r"([a-z]|[a-z][-a-z0-9]*[a-z0-9])")

scopes = st.builds(Scope.of_executor, st.just(CLIENT), st.from_regex(r"[0-9a-f]{12}-\d{1,6}", fullmatch=True))
shared = st.builds(Scope.of_kind, st.just(CLIENT), st.from_regex(r"[0-9a-f]{8}", fullmatch=True))


@given(st.one_of(scopes, shared), st.sampled_from(ROLES), st.none() | st.integers(0, 9999))
def test_names_are_valid_and_tell_what_they_were_made_of(scope: Scope, role: str, number: int | None) -> None:
    name = scope.name(role, number)
    assert len(name) <= 63
    assert VALID.fullmatch(name)
    assert parse(name) == Name(scope, role, number)


@given(st.text(max_size=40))
def test_any_executor_id_gives_a_name_that_is_valid(executor_id: str) -> None:
    name = Scope.of_executor(CLIENT, executor_id).name("gateway", 99999)
    assert len(name) <= 63
    assert VALID.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "lithops", "lithops-vm-0", "lithops-0123abcd-vm-0", "other-0123abcd-e1-vm-0",
        "lithops-0123abcd-e1-thing-0", "lithops-0123abcd-e1-vm-x", "lithops-0123ABCD-e1-vm-0",
        "my-lithops-0123abcd-e1-vm-0", "lithops-0123abcd-e1-vm-0-mine",
        "lithops-0123abcd-e1-vpc-group", "lithops-0123abcd-e1-vm-0-disk-1",
    ],
)  # fmt: skip
def test_names_of_others_are_nobodys_here(name: str) -> None:
    assert parse(name) is None


def test_a_client_is_told_by_its_id() -> None:
    with pytest.raises(ValueError, match="not the id of a client"):
        Scope("somebody", "e1")


def test_what_executors_share_is_told_from_what_is_one_s_own() -> None:
    assert Scope.of_kind(CLIENT, "aaaa").is_shared
    assert not Scope.of_executor(CLIENT, "r-1").is_shared
