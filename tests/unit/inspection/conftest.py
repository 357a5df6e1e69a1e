"""Fixtures of these tests."""

from tests.unit.clusters import cluster, records

__all__ = ["cluster", "records"]
