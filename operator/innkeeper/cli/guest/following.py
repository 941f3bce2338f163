"""Follows an object until something is so: asks again and again, and tells each new step once.

`look` decides for everything that waits which answers end it, so that each end has one exit code.
"""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from innkeeper.cli.guest.asking import Asking, AskingError, Refusal
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.progress import progress
from innkeeper.domain.durations import seconds

Document = Mapping[str, Any]
POLL_S = 1.0
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
    typer.Option(parser=duration, metavar="DURATION", help="How long to follow it, such as 90s or 10m."),
]
TIMEOUT = "5m"


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
    timeout_s: float,
    told: Callable[[Document], str],
    is_over: Callable[[Document], bool],
) -> dict[str, Any]:
    """Return the object at a path, which was just there, once it is over; an API server that is away is asked again.

    Raises:
        AskingError: it is not over in time, is gone, or the caller may not see it; the code says which.
    """
    end = time.monotonic() + timeout_s
    with progress() as shown:
        while True:
            found = look(asking, path, is_known=True, is_late=time.monotonic() >= end)
            if found is not None:
                line = told(found)
                shown.tell(line)
                if is_over(found):
                    return found
                if time.monotonic() >= end:
                    message = f"not over within {timeout_s:.0f} s: {line}"
                    raise AskingError(message, code=ExitCode.TIMED_OUT)
            asking.rest(POLL_S)
