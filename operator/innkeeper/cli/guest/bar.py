"""A bar on a terminal: how far it is, how long it took so far, and the last step's words. It is gone at the end.

It is there from the first step on: before that, the person may have to log in.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from innkeeper.cli.guest.printable import one_line


class Bar:
    """Shown from the first step on, while it is entered as a context."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        """Begin to count the time."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it away."""
        self._bar.stop()

    def tell(
        self,
        text: str,
        *,
        step: str = "",  # noqa: ARG002 - the newest words are shown
        at_s: float | None = None,  # noqa: ARG002 - the bar has a clock
        done: int = 0,
        of: int = 0,
    ) -> None:
        """Show the step."""
        self._bar.start()
        self._bar.update(self._task, description=escape(one_line(text)), completed=done, total=of or None)
