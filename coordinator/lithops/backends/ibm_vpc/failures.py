"""What an answer of the API that is no success means: whether to ask again, and which error it is. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lithops.errors import (
    CloudCapacityExceeded,
    CloudError,
    CloudNotFound,
    CloudQuotaExceeded,
    CloudUnauthorized,
    CloudUnreachable,
)

TOKEN = "identity token"
"""What is asked of the IAM service."""
ATTEMPTS = 6
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
_LONGEST_PAUSE = 30.0

NOT_UNIQUE = ("validation_unique_failed", "not_unique", "duplicate_name")
_QUOTA = ("over_quota", "quota_exceeded", "quota")
_CAPACITY = ("capacity", "insufficient")
_KEY_REFUSED = ("BXNIM0415E", "BXNIM0109E", "BXNIM0301E", "BXNIM0402E", "BXNIM0439E")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A request without success. ``status`` is 0 when no answer came: it may have been carried out."""

    operation: str
    status: int = 0
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    trace: str = ""

    @property
    def is_open(self) -> bool:
        """Whether what was asked for may have been done, or be done yet."""
        return self.status == 0 or self.status >= 500

    @property
    def is_not_unique(self) -> bool:
        """Whether the name is taken."""
        return self.code in NOT_UNIQUE

    @property
    def is_stale_token(self) -> bool:
        """Whether the token may be worth nothing any more, while the key is."""
        return self.status == 401


def of_answer(operation: str, status: int, body: str, retry_after: str | None = None) -> Failure:
    """Read the answer: VPC and IAM have shapes of their own, and what is between them may send any text."""
    try:
        told: Any = json.loads(body)
        first = told["errors"][0] if told.get("errors") else told
        code = str(first.get("code") or first.get("errorCode") or "")
        message = str(first.get("message") or first.get("errorMessage") or "")
        trace = str(told.get("trace") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        code, message, trace = "", " ".join(body.split())[:200], ""
    return Failure(
        operation=operation,
        status=status,
        code=code,
        message=message,
        trace=trace,
        retry_after=_seconds(retry_after),
    )


def pause_before(failure: Failure, attempt: int, *, repeatable: bool) -> float | None:
    """Seconds until the next try; None: there is to be none.

    ``attempt`` counts from 1; ``repeatable``: it does not matter whether it is carried out twice.
    """
    if attempt >= ATTEMPTS:
        return None
    if failure.status == 429:
        # It was not carried out, whatever it was.
        return _pause(failure, attempt)
    if failure.is_open and repeatable and failure.status != 501:
        return _pause(failure, attempt)
    return None


def _pause(failure: Failure, attempt: int) -> float:
    if failure.retry_after is not None:
        return min(failure.retry_after, _LONGEST_PAUSE)
    return _PAUSES[min(attempt, len(_PAUSES)) - 1]


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(float(text), 0.0)
    except ValueError:
        return None  # A date: the usual pause does as well.


def error_of(failure: Failure, region: str) -> CloudError:
    """The error for the user: what was asked, what the API says, and what to do."""
    kind, advice = _kind(failure)
    said = ": ".join(part for part in (failure.code, failure.message) if part) or "nothing"
    where = f"the VPC API of {region}" if failure.operation != TOKEN else "the IAM service"
    if failure.status == 0:
        text = f"{where} does not answer ({failure.operation}): {failure.message}"
    else:
        text = f"{where} refused: {failure.operation}: HTTP {failure.status}, {said}"
    text += f" (trace {failure.trace})" if failure.trace else ""
    text += f"; {advice}" if advice else ""
    return kind(text, operation=failure.operation, status=failure.status, code=failure.code)


def _kind(failure: Failure) -> tuple[type[CloudError], str]:
    code, status = failure.code.lower(), failure.status
    if failure.code in _KEY_REFUSED:
        return CloudUnauthorized, "check ibm.iam_api_key: it may be mistyped, revoked or of another account"
    if status == 401:
        return CloudUnauthorized, "check ibm.iam_api_key"
    if status == 403 and not any(word in code for word in _QUOTA):
        return CloudUnauthorized, (
            "give the owner of ibm.iam_api_key the IAM roles Editor of VPC Infrastructure Services and "
            "Viewer of the resource group"
        )
    if any(word in code for word in _QUOTA):
        return CloudQuotaExceeded, (
            "remove what is not needed (`lithops clean`), use what is there (ibm_vpc.vpc_id, …), or have the "
            "quota raised"
        )
    if any(word in code for word in _CAPACITY):
        return CloudCapacityExceeded, "try another zone (ibm_vpc.zone) or profile, or later"
    if status == 404:
        return CloudNotFound, "check the ids of the section ibm_vpc, and the region"
    if failure.is_open or status == 429:
        return CloudUnreachable, "try again later"
    return CloudError, ""
