"""`innkeeper agent stop`: stop a guest at its host, with no API server."""

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, GuestName, StateDir, asker, show
from innkeeper.cli.output import Output, OutputOption
from innkeeper.clock import SystemClock


async def run(
    *, guest: GuestName, state_dir: StateDir = STATE_DIR, output: OutputOption = Output.TEXT
) -> None:
    """Stop a guest of this host; it stays off until `innkeeper agent start`, or until an order changes its power.

    It works with no API server. Where no agent runs, the wish is kept in its store, and the guest runs on until then.
    """
    question = Question(verb=Verb.STOP, guest=guest, by=asker())
    show(await ask(StatePaths(state_dir), question, clock=SystemClock()), output=output)
