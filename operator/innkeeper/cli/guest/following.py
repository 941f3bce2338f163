"""Follows an object until something is so: asks again and again, and tells each new step once."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from innkeeper.cli.guest.asking import Asking, AskingError
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.progress import progress
from innkeeper.domain.durations import seconds

Document = Mapping[str, Any]
POLL_S = 1.0


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


def follow(
    asking: Asking,
    path: str,
    *,
    timeout_s: float,
    told: Callable[[Document], str],
    is_over: Callable[[Document], bool],
) -> dict[str, Any]:
    """Return the object at a path once it is over. An API server that does not answer for a while is asked again.

    Raises:
        AskingError: it is not over in time, or there is no such object.
    """
    end = time.monotonic() + timeout_s
    with progress() as shown:
        while True:
            try:
                found = asking.get(path)
            except AskingError as error:
                if "not found" in str(error):
                    raise AskingError(str(error), code=ExitCode.DELETED) from error
                if time.monotonic() >= end:
                    raise AskingError(str(error), code=ExitCode.TIMED_OUT) from error
            else:
                line = told(found)
                shown.tell(line)
                if is_over(found):
                    return found
                if time.monotonic() >= end:
                    message = f"not over within {timeout_s:.0f} s: {line}"
                    raise AskingError(message, code=ExitCode.TIMED_OUT)
            asking.rest(POLL_S)
