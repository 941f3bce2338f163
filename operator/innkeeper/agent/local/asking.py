"""Asks at the host: the agent over its socket; where none runs, the store itself.

Without an agent a wish is kept, and the agent carries it out when it runs. Nothing is done to machines then.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from innkeeper.agent.ledger import Ledger
from innkeeper.agent.local.messages import ANSWER_DEADLINE_S, MAX_ANSWER_BYTES, Answer, Question, Verb
from innkeeper.agent.local.wishes import NotPossibleError, Wishes
from innkeeper.agent.only_one import AnotherOneError, only_one
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.opening import host_of
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError, TerminalError

_CALL_DEADLINE_S = ANSWER_DEADLINE_S + 15
_STARTING_S = 5.0  # an agent that has just started listens a moment later
_LOOK_S = 0.1


class NoStoreError(TerminalError):
    """There is no store in this directory."""

    reason = "NoStore"


async def ask(paths: StatePaths, question: Question, *, clock: Clock) -> Answer:
    """Return what came of a question.

    Raises:
        InnkeeperError: nothing came of it; the message says why.
    """
    if not paths.database.exists():
        raise NoStoreError(f"{paths.root} holds no agent's store: name the right one with --state-dir")
    end = clock.monotonic() + _STARTING_S
    while True:
        answer = await _ask_agent(paths.socket, question)
        try:
            answer = answer or await _ask_store(paths, question, clock)
        except AnotherOneError as error:
            if clock.monotonic() > end:
                raise InnkeeperError(
                    f"an agent works in {paths.root} and does not listen: its log says why"
                ) from error
            await clock.sleep(_LOOK_S)
            continue
        if answer.error is not None:
            raise NotPossibleError(answer.error)
        return answer


async def _ask_agent(path: Path, question: Question) -> Answer | None:
    """Ask the agent; None where nobody listens."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_ANSWER_BYTES)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        async with asyncio.timeout(_CALL_DEADLINE_S):
            writer.write(msgspec.json.encode(question) + b"\n")
            line = await reader.readline()
        return msgspec.json.decode(line, type=Answer)
    except (TimeoutError, ValueError, msgspec.MsgspecError, OSError) as error:
        raise InnkeeperError(f"the agent does not answer at {path}: {error or 'too slow'}") from error
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _ask_store(paths: StatePaths, question: Question, clock: Clock) -> Answer:
    with only_one(paths.lock, who="agent"):
        store = await Store.open(paths.database, host=host_of(paths.database), new_id="")
        try:
            return await _asked(store, question, clock)
        finally:
            await store.close()


async def _asked(store: Store, question: Question, clock: Clock) -> Answer:
    ledger = Ledger(store, clock, on_shown=lambda _guest, _urgent: None)
    await ledger.load()
    wishes = Wishes(ledger, store.store_id, clock)
    match question.verb:
        case Verb.LIST:
            return Answer(
                guests=[wishes.line(each, machine=None) for each in ledger.all()],
                said="no agent runs here: this is what its store holds",
            )
        case Verb.FORGET:
            raise NotPossibleError(
                "no agent runs here, so nobody can tell that the guest is off: start it first"
            )
        case Verb.START:
            guest = await wishes.start(question.guest, by=question.by)
        case Verb.STOP:
            guest = await wishes.stop(question.guest, by=question.by)
    said = f"guest {guest.order.guest_id}: kept; no agent runs here, and it carries this out when it does"
    return Answer(said=said)
