"""`innkeeper agent forget`: take a guest off a host and set its files aside."""

from typing import Annotated

import typer

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, GuestName, StateDir, asker, show
from innkeeper.cli.output import Output, OutputOption
from innkeeper.clock import SystemClock


async def run(
    *,
    guest: GuestName,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, this guest.")] = False,
    state_dir: StateDir = STATE_DIR,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a guest that is off from this host: no order of its epoch brings it back.

    Its machine's definition goes; its files are moved to forgotten/ in the state directory, never deleted. The agent
    must run.
    """
    if not yes:
        raise typer.BadParameter(f"this takes the guest {guest} off this host for good: say --yes")
    question = Question(verb=Verb.FORGET, guest=guest, by=asker())
    show(await ask(StatePaths(state_dir), question, clock=SystemClock()), output=output)
