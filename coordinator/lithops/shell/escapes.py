"""What is typed into a remote terminal: the one sequence that is for this side. Pure."""

from __future__ import annotations

_NEWLINES = b"\r\n"


class Escapes:
    """Looks for ``~.`` at the beginning of a line, which ends a connection that does not answer any more.

    As with OpenSSH, ``~~`` there stands for one ``~``.
    """

    def __init__(self) -> None:
        self._at_start = True
        self._held = False
        """Whether a ``~`` at the beginning of a line waits for what comes next."""

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What is to be sent of it, and whether the connection is to be ended."""
        sent = bytearray()
        for byte in typed:
            if self._held:
                self._held = False
                if byte == ord("."):
                    return bytes(sent), True
                sent.append(ord("~"))
                if byte == ord("~"):
                    self._at_start = False
                    continue
            elif self._at_start and byte == ord("~"):
                self._held, self._at_start = True, False
                continue
            sent.append(byte)
            self._at_start = byte in _NEWLINES
        return bytes(sent), False
