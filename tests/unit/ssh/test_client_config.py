"""Our reader of ~/.ssh/config."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lithops.ssh.client_config import Query, lookup, matches_patterns


def query(host: str = "web", user: str | None = None) -> Query:
    return Query(host, user, "me")


def test_the_first_value_wins() -> None:
    text = "Host web\n  Port 2222\nHost *\n  Port 22\n  User root\n"
    assert lookup(text, query()) == {"port": ("2222",), "user": ("root",)}


def test_identity_files_add_up_in_order() -> None:
    text = "Host web\n IdentityFile ~/a\nHost *\n IdentityFile ~/b\n"
    assert lookup(text, query())["identityfile"] == ("~/a", "~/b")


def test_options_before_the_first_host_count_for_all() -> None:
    assert lookup("User=ada\nHost other\nUser eve\n", query()) == {"user": ("ada",)}


def test_equals_signs_quotes_and_comments() -> None:
    text = '# hi\nHost = web # the web\n  IdentityFile="/a b/key"\n  UserKnownHostsFile /x "/y z"\n'
    found = lookup(text, query())
    assert found["identityfile"] == ("/a b/key",)
    assert found["userknownhostsfile"] == ("/x", "/y z")


def test_a_negated_pattern_takes_a_host_out() -> None:
    text = "Host * !web\n User eve\n"
    assert lookup(text, query("web")) == {}
    assert lookup(text, query("db")) == {"user": ("eve",)}


def test_match_lines() -> None:
    text = "Match host web user ada\n Port 1\nMatch originalhost db\n Port 2\nMatch all\n Port 3\n"
    assert lookup(text, query("web", "ada"))["port"] == ("1",)
    assert lookup(text, query("db"))["port"] == ("2",)
    assert lookup(text, query("web"))["port"] == ("3",)


def test_match_exec_and_unknown_criteria_never_match() -> None:
    text = "Match exec true\n Port 1\nMatch localnetwork 10.0.0.0/8\n Port 2\nMatch !exec true\n Port 4\n"
    assert lookup(text, query())["port"] == ("4",)


def test_includes_are_read_in_place() -> None:
    files = {"conf.d/*": ["Host web\n Port 7\n", "Host web\n Port 8\n"]}
    assert lookup("Include conf.d/*\nPort 9\n", query(), lambda pattern: files[pattern]) == {"port": ("7",)}


def test_an_include_of_itself_ends() -> None:
    assert lookup("Include me\nPort 1\n", query(), lambda _: ["Include me\n"]) == {"port": ("1",)}


def test_brackets_in_patterns_are_plain_characters() -> None:
    assert matches_patterns("[10.0.0.1]:22", ["[10.0.0.1]:22"])
    assert not matches_patterns("1:22", ["[10.0.0.1]:22"])


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    lookup(text, query())
