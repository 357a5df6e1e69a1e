"""What a full disk looks like to those who write to it."""

from __future__ import annotations

import errno


def is_disk_full(exc: BaseException) -> bool:
    """Whether an error means that there is no space left, or none for this user."""
    return isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT)
