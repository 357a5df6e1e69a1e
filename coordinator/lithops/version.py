"""The version of this package (the agent's is the same one)."""

from lithops_agent.version import __version__

__all__ = ["__version__"]
