"""Fixtures of the tests that inject faults."""

from tests.integration.conftest import home, no_login, open_executor, warm

__all__ = ["home", "no_login", "open_executor", "warm"]
