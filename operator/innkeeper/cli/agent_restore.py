"""`innkeeper agent restore`: build the agent's store from a backup."""

import asyncio
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from innkeeper.agent.backup.places import Places
from innkeeper.agent.backup.restore import restore
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, StateDir
from innkeeper.cli.output import Output, OutputOption
from innkeeper.clock import SystemClock


async def run(
    *,
    backup: Annotated[
        str,
        typer.Argument(
            help="A backup, or where backups are (then the newest of this host): a path, or s3://BUCKET/PREFIX."
        ),
    ],
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
    paths, clock = StatePaths(state_dir), SystemClock()
    places = Places(host=host, scratch=paths.root, environment=os.environ, clock=clock)
    with _there(state_dir):
        async with places.backup(backup) as file:
            made = await asyncio.to_thread(
                restore, file, paths, host=host, new_id=str(uuid.uuid4()), trusts_copy=offline_start
            )
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
        return
    sys.stdout.write(
        f"restored {made.guests} guests as of {made.taken_at}; the store's ID is now {made.store_id}\n"
    )


@contextmanager
def _there(state_dir: Path) -> Iterator[None]:
    """Have the state directory; one that was made for nothing goes, and what was made above it."""
    missing = [each for each in (state_dir, *state_dir.parents) if not each.exists()]
    try:
        for each in reversed(missing):
            # The hypervisor passes through to the disks of guests, and lists nothing.
            each.mkdir(mode=0o711 if each == state_dir else 0o755, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # whatever lies in one by now stays, and what is above it
            for each in missing:
                each.rmdir()
        raise
