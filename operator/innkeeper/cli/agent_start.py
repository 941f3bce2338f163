"""`innkeeper agent start`: start a guest at its host, with no API server."""

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.cli.at_host import STATE_DIR, GuestName, StateDir, asker, show
from innkeeper.cli.output import Output, OutputOption
from innkeeper.clock import SystemClock


async def run(
    *, guest: GuestName, state_dir: StateDir = STATE_DIR, output: OutputOption = Output.TEXT
) -> None:
    """Start a guest of this host: a stop at the host is over, and one that rests starts again.

    It works with no API server. Where no agent runs, the wish is kept in its store. It never starts what an order wants
    off, elsewhere or gone.
    """
    question = Question(verb=Verb.START, guest=guest, by=asker())
    show(await ask(StatePaths(state_dir), question, clock=SystemClock()), output=output)
