"""Runs kubectl once: its answer is kept, and what it says is heard as it comes.

Where a person may be asked, its standard input is theirs, and what is sent goes by a file without a name beside it; else
what is sent is the standard input.
"""

import codecs
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector
from typing import IO

from innkeeper.cli.guest.hearing import Hearing

MOST_ANSWERED = 64 * 1024 * 1024
PAUSE_S = 0.2
_PART = 64 * 1024


class AnswerTooLongError(Exception):
    """The answer has no end, as it seems."""


@dataclass(frozen=True)
class Patience:
    """How many seconds a call may take: while it says nothing to a person, and in all once it has."""

    silent_s: float
    asking_s: float


def call(
    command: Sequence[str], hearing: Hearing, *, body: str | None, patience: Patience, asks: bool
) -> tuple[int, str]:
    """Run a command and return its exit status and its answer. With `body`, its last word is the file that has it.

    Only where it `asks` a person, its standard input is this program's.

    Raises:
        TimeoutError: it has not ended in time; the message says in which.
        AnswerTooLongError: it says more than `MOST_ANSWERED` bytes.
        OSError: it cannot be started, or there is no room for what is sent.
    """
    began = time.monotonic()

    def allowed_s() -> float:
        return patience.asking_s if hearing.is_person_told else patience.silent_s

    def left_s() -> float:
        return began + allowed_s() - time.monotonic()

    with _sent(body) as file, _started(command, file, asks=asks) as process:
        try:
            answer = _read(process, hearing, left_s)
            hearing.end()
            return process.wait(max(PAUSE_S, left_s())), answer.decode(errors="replace")
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise TimeoutError(f"no answer within {allowed_s():.0f} s") from error
        finally:
            process.kill()


def _started(command: Sequence[str], body: IO[bytes] | None, *, asks: bool) -> subprocess.Popen[bytes]:
    beside = [body.fileno()] if body and asks else []
    words = [f"/dev/fd/{each}" for each in beside] or (["-"] if body else [])
    return subprocess.Popen(
        [*command, *words],
        stdin=None if asks else body or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=beside,
    )


@contextmanager
def _sent(body: str | None) -> Iterator[IO[bytes] | None]:
    if body is None:
        yield None
        return
    # In memory where the system has that: the root of a pod may be read-only, without a place for temporary files.
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("sent"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(body.encode())
        file.flush()
        file.seek(0)
        yield file


def _read(process: subprocess.Popen[bytes], hearing: Hearing, left_s: Callable[[], float]) -> bytes:
    answer, decode = bytearray(), codecs.getincrementaldecoder("utf-8")("replace").decode
    with DefaultSelector() as streams:
        for stream in filter(None, (process.stdout, process.stderr)):
            streams.register(stream, EVENT_READ)
        while streams.get_map():
            # First whether it has ended, then what is there: its last words may come right before its end.
            has_ended = process.poll() is not None
            ready = streams.select(0 if has_ended else PAUSE_S)
            if not ready and has_ended:
                break  # what it left behind holds its streams open
            if not ready:
                hearing.pause()
            for key, _ in ready:
                part = os.read(key.fd, _PART)
                if not part:
                    streams.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    hearing.hear(decode(part))
                else:
                    answer += part
            if len(answer) > MOST_ANSWERED:
                raise AnswerTooLongError
            if left_s() <= 0:
                raise TimeoutError
    return bytes(answer)
