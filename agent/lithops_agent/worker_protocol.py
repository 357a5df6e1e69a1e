"""What the agent and its workers say to each other: orders, queues of calls, reports and notes.

The agent and a worker share two sockets. On ``calls`` (SOCK_SEQPACKET, one message a call) the agent
queues calls; a call belongs to the worker from the moment it receives the message, and until then the
agent can take it back by receiving from the other end of the same queue. So after a worker died it is
known which calls it had not begun. On ``results`` (SOCK_STREAM) the worker writes a `RESULT_HEAD` and
the body, or the path of a file with the body. The agent never opens a pickle.

What a worker is told when it starts is an `Order`, as JSON in one message, with the descriptors of its ends
of the two sockets and of its log.

Only the standard library is imported here: workers import this file in the user's interpreter.
"""

from __future__ import annotations

import struct
from typing import Optional, TypedDict

from lithops_agent.protocol import INLINE_LIMIT, STATS

CALL_HEAD = struct.Struct("<IHB")
"""Call number, attempt, 1 if the message carries the path of the data instead of the data."""
RESULT_HEAD = struct.Struct(f"<IBBQQ{len(STATS)}d")
"""Call number, Status, 1 if the body is the path of a file, length of what follows, up to which byte of
the worker's log the calls so far have printed, STATS."""
MAX_CALL_MESSAGE = INLINE_LIMIT + CALL_HEAD.size
NOTE = struct.Struct("<IHxx")
"""Call number and attempt (0: no entry) of a call that a worker has begun."""
MAX_ORDER = 256 * 1024
ORDER_FDS = 3


class Order(TypedDict):
    """What a worker is told when it starts: its ``worker`` number, and paths.

    ``note`` is the file of its notes, ``folder`` that of the job's large results, ``function`` the pickled
    function and ``modules`` the folder of modules that were shipped. ``env`` is added to its environment.
    It runs in ``cwd``, or in ``home`` where there is no such folder.
    """

    worker: int
    note: str
    folder: str
    function: str
    modules: Optional[str]
    env: dict[str, str]
    cwd: str
    home: str
