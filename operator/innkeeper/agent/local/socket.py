"""The agent's end of the socket: a few connections at once, one question each, root only."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from innkeeper.agent.local.messages import (
    ANSWER_DEADLINE_S,
    DEADLINE_S,
    MAX_QUESTION_BYTES,
    Answer,
    Question,
)

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 16


class LocalSocket:
    """Answers at `path` while it runs. Where it cannot listen, the agent goes on without it."""

    def __init__(self, path: Path, answer: Callable[[Question], Awaitable[Answer]]) -> None:
        self._path = path
        self._answer = answer
        self._open = 0

    async def run(self) -> None:
        """Listen for ever."""
        try:
            server = await asyncio.start_unix_server(
                self._serve, sock=_bound(self._path), limit=MAX_QUESTION_BYTES
            )
        except OSError as error:
            log.warning("local_socket_failed", path=str(self._path), error=str(error))
            return
        try:
            async with server:
                await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                answer = await self._answered(reader)
                async with asyncio.timeout(DEADLINE_S):
                    writer.write(msgspec.json.encode(answer) + b"\n")
                    await writer.drain()
        except (OSError, TimeoutError) as error:
            log.warning("local_question_lost", error=str(error) or "too slow")
        finally:
            self._open -= 1
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader) -> Answer:
        try:
            async with asyncio.timeout(DEADLINE_S):
                line = await reader.readline()
            question = msgspec.json.decode(line, type=Question)
        except (ValueError, msgspec.MsgspecError) as error:  # ValueError: longer than the limit
            return Answer(error=f"the question cannot be read: {error}")
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                return await self._answer(question)
        except TimeoutError:
            return Answer(
                error="it takes longer than a minute: the agent's log and `list` say how it goes on"
            )
        except Exception:
            log.exception("local_question_broke", verb=str(question.verb))
            return Answer(error="the agent could not do it; its log says why")


def _bound(path: Path) -> socket.socket:
    """Return a socket that nobody but its owner can enter, not even for a moment: it does not listen before."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        made.close()
        raise
    return made
