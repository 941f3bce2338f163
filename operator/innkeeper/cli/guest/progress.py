"""How a person sees that something goes on: a bar on a terminal, lines in a pipe; always on standard error.

What is told comes from an API and may hold anything: no markup and no control character of it is obeyed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from innkeeper.cli.guest.output import say


class Progress(Protocol):
    """Where steps are told."""

    def tell(
        self, text: str, *, step: str = "", at_s: float | None = None, done: int = 0, of: int = 0
    ) -> None:
        """Tell a step: seconds after the beginning, and how many steps of how many are done, where that is known.

        Words that change while the `step` is the same are no news for a log.
        """
        ...


class Lines:
    """One line for each step that was not told just now."""

    def __init__(self) -> None:
        self._last = ""

    def tell(
        self,
        text: str,
        *,
        step: str = "",
        at_s: float | None = None,
        done: int = 0,  # noqa: ARG002 - a line shows no bar
        of: int = 0,  # noqa: ARG002 - the same
    ) -> None:
        """Print it."""
        news = step or text
        if news != self._last:
            self._last = news
            say(text if at_s is None else f"{at_s:6.1f} s  {text}", to_error=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield where steps are told, as fits standard error."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    # Imported for terminals only: it takes a tenth of a second.
    from innkeeper.cli.guest.bar import Bar

    with Bar() as bar:
        yield bar
