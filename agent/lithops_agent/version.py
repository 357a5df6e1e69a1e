"""The version of the coordinator and of the agent: they are released together."""

__version__ = "0.1.0"
