"""`innkeeper agent list`: the guests of a host, with no API server."""

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, StateDir, asker, show
from innkeeper.cli.output import Output, OutputOption
from innkeeper.clock import SystemClock


async def run(*, state_dir: StateDir = STATE_DIR, output: OutputOption = Output.TEXT) -> None:
    """List the guests that this host holds: from its agent, or from the store where none runs."""
    question = Question(verb=Verb.LIST, by=asker())
    show(await ask(StatePaths(state_dir), question, clock=SystemClock()), output=output)
