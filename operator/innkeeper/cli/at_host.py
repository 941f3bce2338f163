"""What the commands for a person at the host share: their options, who asks, and how an answer is printed."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from innkeeper.agent.local.messages import Answer, GuestLine
from innkeeper.cli.guest.printable import one_line
from innkeeper.cli.output import Output

StateDir = Annotated[
    Path, typer.Option(help="Where the agent's database lies.", envvar="INNKEEPER_AGENT_STATE_DIR")
]
STATE_DIR = Path("/var/lib/innkeeper")
GuestName = Annotated[str, typer.Argument(help="A Guest ID, or NAMESPACE/NAME where only one guest has it.")]


_COLUMNS = ("NAMESPACE", "NAME", "ID", "DESIRED", "MACHINE", "READY", "REASON", "MESSAGE")


def asker() -> str:
    """Return who asks: behind sudo, the person before it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def show(answer: Answer, *, output: Output) -> None:
    """Print an answer: what a script reads to stdout, remarks for people to stderr."""
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        return
    if answer.guests:
        rows = [_COLUMNS, *([one_line(cell) for cell in _row(each)] for each in answer.guests)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            sys.stdout.write("   ".join(cells).rstrip() + "\n")
    if answer.said:
        sys.stderr.write(answer.said + "\n")


def _row(line: GuestLine) -> tuple[str, ...]:
    return (
        line.namespace,
        line.name,
        line.guest_id,
        line.desired,
        line.machine or "-",
        str(line.ready),
        line.reason,
        line.message,
    )
