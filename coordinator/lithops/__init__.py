"""Run Python functions in parallel on your own machines, with the API of Lithops.

>>> import lithops
>>> fexec = lithops.FunctionExecutor()
>>> future = fexec.call_async(lambda x: x + 1, 1)
>>> future.result()
2
"""

from lithops.attachment import attach
from lithops.executors import FunctionExecutor, LocalhostExecutor, ServerlessExecutor, StandaloneExecutor
from lithops.retries import RetryingFunctionExecutor
from lithops.version import __version__
from lithops.wait import get_result, wait

__all__ = [
    "FunctionExecutor",
    "LocalhostExecutor",
    "ServerlessExecutor",
    "StandaloneExecutor",
    "RetryingFunctionExecutor",
    "attach",
    "wait",
    "get_result",
    "__version__",
]
