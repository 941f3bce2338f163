"""What comes on kubectl's standard error, told apart while it comes: who says it decides where it goes.

Log-in plug-ins of a kubeconfig ask a person: that is passed on at once, also a question without a line break. Warnings of
the API server are told. kubectl's own last words are kept: they become the error.
"""

import re
from collections.abc import Callable

from innkeeper.cli.guest.printable import one_line, without_controls

MOST_KEPT = 64 * 1024
_WARNING = "Warning: "
_LAST_WORDS = (
    "Error from server",
    "error: ",
    "Error in configuration",
    "The connection to the server",
    "The request is invalid",
    "Unable to connect to the server",
)
_KNOWN = (*_LAST_WORDS, _WARNING)
_LOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ ")


class Hearing:
    """One call of kubectl. Nothing is passed on where there is no person."""

    def __init__(self, *, person: Callable[[str], None] | None, warn: Callable[[str], None]) -> None:
        self._person = person
        self._warn = warn
        self._pending = ""
        self._last = ""
        self._others = ""
        self._log = ""

    def hear(self, text: str) -> None:
        """Take the next part."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._sort(f"{line}\n")

    def pause(self) -> None:
        """Nothing came for a moment: what stands there without a line break is a question, if it is not kubectl's."""
        begun = self._pending
        if (
            begun
            and not self._last
            and not any(begun.startswith(each) or each.startswith(begun) for each in _KNOWN)
        ):
            self._pending = ""
            self._sort(begun)

    def end(self) -> None:
        """Nothing comes any more."""
        if self._pending:
            self._sort(self._pending)
            self._pending = ""

    def words(self) -> str:
        """Return what to tell as the error: kubectl's own words, where there are any."""
        return (self._last or self._others or self._log).strip()

    def unseen(self) -> str:
        """Return what others said that was not passed on, where kubectl has words of its own."""
        return self._others.strip() if self._last and not self._person else ""

    def _sort(self, line: str) -> None:
        if self._last or line.startswith(_LAST_WORDS):
            self._last = (self._last + line)[:MOST_KEPT]
        elif line.startswith(_WARNING):
            self._warn(one_line(line.rstrip("\n")))
        elif _LOG.match(line):
            self._log = (self._log + line)[:MOST_KEPT]
        else:
            self._others = (self._others + line)[:MOST_KEPT]
            if self._person:
                self._person(without_controls(line))
