"""`innkeeper agent restore`: build the agent's store from a backup."""

import asyncio
import sys
import uuid
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from innkeeper.agent.backup.restore import restore
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, Output, OutputOption, StateDir


async def run(
    *,
    backup: Annotated[Path, typer.Argument(help="A file that an agent wrote with --backup-directory.")],
    host: Annotated[str, typer.Option(help="The name of this host: the backup must be its own.")],
    state_dir: StateDir = STATE_DIR,
    offline_start: Annotated[
        bool,
        typer.Option(
            "--offline-start",
            help="Let guests start by the backup's orders: some may have been destroyed or moved since.",
        ),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Build the store of a host from a backup; a store that is there is never replaced.

    Guests that run are left as they are. One that is off starts once the operator has given a new order for it, or by
    `innkeeper agent start`.
    """
    made = await asyncio.to_thread(
        restore,
        backup,
        StatePaths(state_dir),
        host=host,
        new_id=str(uuid.uuid4()),
        trusts_copy=offline_start,
    )
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
        return
    sys.stdout.write(
        f"restored {made.guests} guests as of {made.taken_at}; the store's ID is now {made.store_id}\n"
    )
