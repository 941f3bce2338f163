"""Follows an object until something is so: asks again and again, and tells each new step once.

`look` decides for everything that waits which answers end it, so that each end has one exit code.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from innkeeper.cli.guest.asking import Asking, AskingError, Refusal
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.progress import progress
from innkeeper.domain.durations import seconds

Document = Mapping[str, Any]
Thing = TypeVar("Thing")
POLL_S, SHORTEST_POLL_S = 1.0, 0.05
NOT_ALLOWED = frozenset({Refusal.FORBIDDEN, Refusal.UNAUTHORIZED})


def duration(text: str) -> float:
    """Return the seconds of an option's duration; a number alone is seconds.

    Raises:
        typer.BadParameter: it is no duration.
    """
    try:
        return seconds(f"{text}s" if text.isascii() and text.isdigit() else text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")]
Timeout = Annotated[
    float,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="How long to follow, such as 90s or 10m: one end for all that are named.",
    ),
]
TIMEOUT = "5m"


@dataclass(frozen=True)
class Deadline:
    """When a person's patience ends, on the monotonic clock: one end for all that one call follows."""

    patience_s: float
    end: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return one that many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """The seconds until then."""
        return max(0.0, self.end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for any more; what is looked at now may still be so."""
        return self.left_s <= 0


def each_of(
    things: Iterable[Thing], one: Callable[[Thing], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[AskingError]]:
    """Return what came of each of several, and what went wrong with the others: no one keeps another from its turn."""
    found: list[dict[str, Any]] = []
    failed: list[AskingError] = []
    for each in things:
        try:
            found.append(one(each))
        except AskingError as error:
            failed.append(error)
    return found, failed


def end_with(failed: Sequence[AskingError]) -> None:
    """End a call after which some of several failed, if any did.

    Raises:
        AskingError: it says of each what went wrong; its code is that of the first.
    """
    if failed:
        raise AskingError("; ".join(str(each) for each in failed), code=failed[0].code)


def look(asking: Asking, path: str, *, is_known: bool, is_late: bool) -> dict[str, Any] | None:
    """Return the object at a path, or None where nobody answers just now and there is time to ask again.

    Raises:
        AskingError: the caller may not see it; or of an object that is known to have been there, it is gone, or the time
            is up. Of one that is not, any error.
    """
    try:
        return asking.get(path)
    except AskingError as error:
        if not is_known or error.refusal in NOT_ALLOWED:
            raise
        if error.refusal is Refusal.NOT_FOUND:
            raise AskingError(f"it was deleted: {error}", code=ExitCode.DELETED) from error
        if is_late:
            raise AskingError(
                f"nobody answers, and the time is up: {error}", code=ExitCode.TIMED_OUT
            ) from error
        return None


def follow(
    asking: Asking,
    path: str,
    *,
    deadline: Deadline,
    told: Callable[[Document], str],
    is_over: Callable[[Document], bool],
) -> dict[str, Any]:
    """Return the object at a path, which was just there, once it is over; an API server that is away is asked again.

    Raises:
        AskingError: it is not over in time, is gone, or the caller may not see it; the code says which.
    """
    with progress() as shown:
        while True:
            found = look(asking, path, is_known=True, is_late=deadline.is_over)
            if found is not None:
                line = told(found)
                shown.tell(line)
                if is_over(found):
                    return found
                if deadline.is_over:
                    message = f"not over within {deadline.patience_s:.0f} s: {line}"
                    raise AskingError(message, code=ExitCode.TIMED_OUT)
            asking.rest(min(POLL_S, max(SHORTEST_POLL_S, deadline.left_s)))
