"""What comes on kubectl's standard error, told apart while it comes: who says it decides where it goes.

Log-in plug-ins of a kubeconfig ask a person: that is passed on at once, also a question without a line break. Warnings of
the API server are told. kubectl's own last words are kept: they become the error. kubectl ends right behind them: where
it does not, they were a plug-in's that begin alike, and are passed on.
"""

import re
from collections.abc import Callable

from innkeeper.cli.guest.printable import one_line, without_controls

MOST_KEPT = 64 * 1024
PAUSES_BEFORE_END = 5  # a busy machine may end kubectl a moment after its last words
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
        self._pauses = 0
        self._is_last_told = False
        self.is_person_told = False

    def hear(self, text: str) -> None:
        """Take the next part."""
        self._pauses = 0
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._sort(f"{line}\n")

    def pause(self) -> None:
        """Nothing came for a moment: what stands there without a line break is a question, if it is not kubectl's."""
        self._pauses += 1
        if self._last and self._pauses >= PAUSES_BEFORE_END and not self._is_last_told:
            self._is_last_told = True
            self._tell(self._last)
        begun = self._pending
        if (
            begun
            and (self._is_last_told or not self._last)
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
        if self._is_last_told:  # more comes: they were not kubectl's last
            self._others = (self._others + self._last)[:MOST_KEPT]
            self._last, self._is_last_told = "", False
        if self._last or line.startswith(_LAST_WORDS):
            self._last = (self._last + line)[:MOST_KEPT]
        elif line.startswith(_WARNING):
            self._warn(one_line(line.rstrip("\n")))
        elif _LOG.match(line):
            self._log = (self._log + line)[:MOST_KEPT]
        else:
            self._others = (self._others + line)[:MOST_KEPT]
            self._tell(line)

    def _tell(self, text: str) -> None:
        if self._person:
            self.is_person_told = True
            self._person(without_controls(text))
