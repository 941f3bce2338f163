"""Whether a process is ready: a list of checks, each with a name and an answer.

A check answers None when all is well, else one sentence that says what is missing. A process is ready when
every list is complete and no watch has been quiet for longer than a sane time; an open watch is never quiet for
long, because the API server sends bookmarks.
"""

from asyncio import Event
from collections.abc import Callable, Mapping
from typing import Protocol

Check = Callable[[], str | None]

WATCH_AGE_LIMIT_S = 180.0  # bookmarks come every minute or so


class Watch(Protocol):
    """The part of an informer that readiness looks at."""

    @property
    def synced(self) -> Event:
        """Set once the first list is complete."""
        ...

    def age_s(self) -> float:
        """Seconds since the last event, bookmark or list."""
        ...


class Readiness:
    """The checks of one process."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Add a check; the process is ready only while it answers None."""
        self._checks[name] = check

    def watch(self, name: str, watch: Watch, *, limit_s: float = WATCH_AGE_LIMIT_S) -> None:
        """Add the check of one informer."""
        self.add(f"watch-{name}", lambda: watch_trouble(watch, limit_s=limit_s))

    def troubles(self) -> Mapping[str, str]:
        """Return the checks that fail, each with its sentence; empty when the process is ready."""
        answers = {name: check() for name, check in self._checks.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}


def watch_trouble(watch: Watch, *, limit_s: float) -> str | None:
    """Say what is wrong with an informer, or None."""
    if not watch.synced.is_set():
        return "the first list is not complete"
    age = watch.age_s()
    if age > limit_s:
        return f"nothing was heard for {age:.0f} s (at most {limit_s:.0f} s is sane)"
    return None
