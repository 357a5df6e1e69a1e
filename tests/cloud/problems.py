"""How the service says no."""

from __future__ import annotations

import uuid
from typing import Any


class Refused(Exception):
    """A request is refused: the status, and the one error of the answer's list."""

    def __init__(
        self, status: int, code: str, message: str, *, target: str = "", kind: str = "field",
        retry_after: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.kind = kind
        self.retry_after = retry_after

    def answer(self) -> dict[str, Any]:
        """The body of the answer."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://cloud.ibm.com/docs/vpc?topic=vpc-error-messages#{self.code}",
        }
        if self.target:
            error["target"] = {"name": self.target, "type": self.kind}
        return {"errors": [error], "trace": str(uuid.uuid4())}


def not_found(kind: str, name: str) -> Refused:
    """There is no such thing."""
    message = f"The {kind} with ID {name} was not found."
    return Refused(404, "not_found", message, target=name, kind="parameter")


def in_use(message: str, name: str) -> Refused:
    """Something else needs it."""
    return Refused(409, "conflict_in_use", message, target=name, kind="parameter")


def wrong_state(message: str, name: str) -> Refused:
    """It is not in a state in which this could be done."""
    return Refused(409, "conflict_invalid_state", message, target=name, kind="parameter")


def bad_field(field: str, message: str) -> Refused:
    """A field of the body has a value that can't be."""
    return Refused(400, "bad_field", message, target=field)
