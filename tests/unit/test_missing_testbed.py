"""What tests that need hosts do where no host can boot."""

from __future__ import annotations

import pytest

from tests.testbed import TestbedUnavailable, fixtures


@pytest.fixture(autouse=True)
def no_testbed(monkeypatch: pytest.MonkeyPatch) -> None:
    def require() -> None:
        raise TestbedUnavailable("missing: systemd-nspawn", "apt-get install -y systemd-container")

    monkeypatch.setattr(fixtures, "require", require)


def test_they_fail_in_ci_and_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install -y systemd-container"):
        fixtures.insist()


def test_they_are_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="missing: systemd-nspawn"):
        fixtures.insist()
