"""logs: the end of what a guest wrote to its console, as its host keeps it; with --follow, what it writes then, too.

A guest chooses every byte of it. So what would move the cursor, change colours or ring a bell is left out, unless the
person asks for all of it. Who follows asks again each second, from the place where the last answer ended.
"""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from innkeeper.cli.guest.asking import Asking, AskingError, Refusal
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.following import NOT_ALLOWED, POLL_S
from innkeeper.cli.guest.output import Namespace, say
from innkeeper.cli.guest.printable import split_begun, without_controls
from innkeeper.cli.guest.targets import Name, find

_MOST_BEGUN = 4096  # characters of an escape sequence that does not end
_LEFT_OUT = "some of what it wrote is left out here: it wrote more than is kept, or than one answer holds"
_OLDER = "the operator, or the agent of the guest's host, is older and cannot be followed: leave out --follow"


def logs(
    context: typer.Context,
    name: Name,
    namespace: Namespace = None,
    tail: Annotated[
        int, typer.Option(min=-1, help="So many lines from the end; -1 for all that is kept.")
    ] = -1,
    limit_bytes: Annotated[int, typer.Option(min=0, help="At most so many bytes.", show_default="1 MiB")] = 0,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what it writes, until Ctrl-C.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave escape sequences in, as the guest wrote them.")
    ] = False,
) -> None:
    """Show what a guest wrote to its console: its host keeps the last few MiB, also of a guest that is off."""
    asking: Asking = context.obj
    if follow and limit_bytes:
        raise typer.BadParameter("--limit-bytes bounds one answer: leave it out, or --follow")
    path = f"{find(asking, name, namespace).view}/console"
    if follow:
        _follow(asking, path, tail=tail, is_raw=raw)
        return
    text = asking.get(f"{path}?limitBytes={limit_bytes}" if limit_bytes else path)["text"]
    shown = _last_lines(text if raw else without_controls(text), tail)
    if shown:
        _write(f"{shown.removesuffix(chr(10))}\n", is_raw=raw)


def _follow(asking: Asking, path: str, *, tail: int, is_raw: bool) -> None:
    """Show what is kept, then what comes, without an end.

    Raises:
        AskingError: nobody answers at the first question; later, the guest is gone or the caller may not see it any more.
    """
    answer: dict[str, Any] | None = asking.get(f"{path}?{urlencode({'after': ''})}")
    is_first, begun, end, told = True, "", "", ""
    while True:
        if answer is not None:
            end, told = answer.get("end", ""), ""
            if not end:
                raise AskingError(_OLDER)
            if answer.get("leftOut"):
                begun = ""
                say(_LEFT_OUT, to_error=True)
            text, begun = (answer["text"], "") if is_raw else _without_controls(begun + answer["text"])
            _write(_last_lines(text, tail) if is_first else text, is_raw=is_raw)
            is_first = False
        asking.rest(POLL_S)
        try:
            answer = asking.get(f"{path}?{urlencode({'after': end})}")
        except AskingError as error:
            if error.refusal is Refusal.NOT_FOUND:
                raise AskingError(f"it was deleted: {error}", code=ExitCode.DELETED) from error
            if error.refusal in NOT_ALLOWED:
                raise
            if str(error) != told:
                told = str(error)
                say(f"asking again: {told}", to_error=True)
            answer = None


def _without_controls(text: str) -> tuple[str, str]:
    """Return text without control sequences, and the beginning of one whose end is still to come."""
    whole, begun = split_begun(text)
    return (without_controls(text), "") if len(begun) > _MOST_BEGUN else (without_controls(whole), begun)


def _last_lines(text: str, count: int) -> str:
    """Return so many lines from the end, all where it is negative."""
    lines = text.removesuffix("\n").split("\n") if text else []
    shown = lines if count < 0 else lines[len(lines) - min(count, len(lines)) :]
    return "\n".join(shown) + ("\n" if shown and text.endswith("\n") else "")


def _write(text: str, *, is_raw: bool) -> None:
    if text:
        # Colours too, where they were asked for: typer leaves them out of what goes into a file.
        typer.echo(text, nl=False, color=True if is_raw else None)
