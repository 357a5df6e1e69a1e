"""Measurements, each printed beside a reference that was taken in the same run: ``python -m tests.bench``."""
