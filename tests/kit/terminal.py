"""A terminal that a test holds the other end of: what a program shows there, and what a person types."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Self

DEADLINE_S = 60


class Terminal:
    """A program whose three streams are a terminal; entered as a context, it is ended with it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait(DEADLINE_S)
        os.close(self._ours)

    def shows(self, wanted: str) -> str:
        """Return what came until a word did."""
        return read_until(self._ours, wanted.encode()).decode(errors="replace")

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{text}\n".encode())

    def ends(self) -> tuple[int, str]:
        """Return its exit status, and what it still showed."""
        shown = read_until(self._ours, None).decode(errors="replace")
        return self._process.wait(DEADLINE_S), shown


def read_until(terminal: int, wanted: bytes | None) -> bytes:
    """Return what comes until a word does, or until the other side is closed."""
    found, end = b"", time.monotonic() + DEADLINE_S
    while wanted is None or wanted not in found:
        assert time.monotonic() < end, found
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:  # closed
            break
        found += part
        if not part:
            break
    return found
