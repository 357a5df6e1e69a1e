"""What a call printed, as its future keeps it: a little text itself, or where the rest of it is."""

from __future__ import annotations

from typing import NamedTuple

_SHORT = 4096
"""Bytes that a future keeps in memory; more is read from the disk when somebody asks."""


class Output(NamedTuple):
    """The end of what a call printed, ``size`` bytes after the first ``begins``.

    ``text`` is all of it, or its last bytes when it is in the file ``path`` from ``offset`` on.
    """

    begins: int
    size: int
    text: bytes
    path: str = ""
    offset: int = 0

    def read(self) -> str:
        """The text; where its beginning is missing, it says so."""
        text = self.text if len(self.text) == self.size else self._from_file() or self.text
        missing = self.begins + self.size - len(text)
        told = f"… ({missing} bytes before this were not kept)\n" if missing else ""
        return told + text.decode("utf-8", "replace")

    def _from_file(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                text = file.read(self.size)
        except OSError:
            return b""  # It is kept for some days only.
        return text if len(text) == self.size else b""


def output(begins: int, text: bytes, path: str = "", offset: int = 0) -> Output:
    """What a future keeps of a text that is at a place in a file; without a file it is all that is kept."""
    kept = text if not path or len(text) <= _SHORT else text[-_SHORT:]
    return Output(begins, len(text), kept, path, offset)
