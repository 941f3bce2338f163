"""logs: the end of what a guest wrote to its console, as its host keeps it.

A guest chooses every byte of it. So what would move the cursor, change colours or ring a bell is left out, unless the
person asks for all of it.
"""

from typing import Annotated

import typer

from innkeeper.cli.guest.asking import Asking
from innkeeper.cli.guest.output import Namespace
from innkeeper.cli.guest.printable import without_controls
from innkeeper.cli.guest.targets import Name, find


def logs(
    context: typer.Context,
    name: Name,
    namespace: Namespace = None,
    tail: Annotated[
        int, typer.Option(min=-1, help="So many lines from the end; -1 for all that is kept.")
    ] = -1,
    limit_bytes: Annotated[int, typer.Option(min=0, help="At most so many bytes.", show_default="1 MiB")] = 0,
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave escape sequences in, as the guest wrote them.")
    ] = False,
) -> None:
    """Show what a guest wrote to its console: its host keeps the last few MiB, also of a guest that is off."""
    asking: Asking = context.obj
    path = f"{find(asking, name, namespace).view}/console"
    text = asking.get(f"{path}?limitBytes={limit_bytes}" if limit_bytes else path)["text"]
    lines = (text if raw else without_controls(text)).removesuffix("\n").split("\n") if text else []
    shown = lines if tail < 0 else lines[len(lines) - min(tail, len(lines)) :]
    if shown:
        # Colours too, where they were asked for: typer leaves them out of what goes into a file.
        typer.echo("\n".join(shown), color=True if raw else None)
