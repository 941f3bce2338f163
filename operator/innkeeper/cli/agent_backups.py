"""`innkeeper agent backups`: list the backups of a host, the oldest first."""

import os
import sys
from typing import Annotated

import msgspec
import typer

from innkeeper.agent.backup.places import Places
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, StateDir
from innkeeper.cli.output import Output, OutputOption
from innkeeper.clock import SystemClock


async def run(
    *,
    place: Annotated[str, typer.Argument(help="A directory, or s3://BUCKET/PREFIX.")],
    host: Annotated[str, typer.Option(help="The name of the host.")],
    state_dir: StateDir = STATE_DIR,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the names of a host's backups in a place, the oldest first."""
    scratch = StatePaths(state_dir).root
    places = Places(host=host, scratch=scratch, environment=os.environ, clock=SystemClock())
    names = await places.target(place).kept()
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(names).decode() + "\n")
        return
    sys.stdout.write("".join(f"{name}\n" for name in names))
