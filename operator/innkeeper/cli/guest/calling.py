"""Runs kubectl once: its answer is kept, what it says is heard as it comes, and its standard input is the person's.

What is sent goes by a file without a name, so that a log-in plug-in may ask, whatever is sent.
"""

import codecs
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from typing import IO

from innkeeper.cli.guest.hearing import Hearing

MOST_ANSWERED = 64 * 1024 * 1024
PAUSE_S = 0.2
_PART = 64 * 1024


class AnswerTooLongError(Exception):
    """The answer has no end, as it seems."""


def call(
    command: Sequence[str], hearing: Hearing, *, body: str | None, deadline_s: float, asks: bool
) -> tuple[int, str]:
    """Run a command and return its exit status and its answer. With `body`, its last word is the file that has it.

    Where nobody is to be asked, it finds nothing on its standard input.

    Raises:
        TimeoutError: it has not ended within so many seconds.
        AnswerTooLongError: it says more than `MOST_ANSWERED` bytes.
    """
    end = time.monotonic() + deadline_s
    with _sent(body) as file:
        files = [file.fileno()] if file else []
        process = subprocess.Popen(
            [*command, *(f"/dev/fd/{each}" for each in files)],
            stdin=None if asks else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=files,
        )
        with process:
            try:
                answer = _read(process, hearing, end)
                hearing.end()
                return process.wait(max(PAUSE_S, end - time.monotonic())), answer.decode(errors="replace")
            except subprocess.TimeoutExpired as error:
                raise TimeoutError from error
            finally:
                process.kill()


@contextmanager
def _sent(body: str | None) -> Iterator[IO[bytes] | None]:
    if body is None:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(body.encode())
        file.flush()
        file.seek(0)
        yield file


def _read(process: subprocess.Popen[bytes], hearing: Hearing, end: float) -> bytes:
    answer, decode = bytearray(), codecs.getincrementaldecoder("utf-8")("replace").decode
    with DefaultSelector() as streams:
        for stream in filter(None, (process.stdout, process.stderr)):
            streams.register(stream, EVENT_READ)
        while streams.get_map():
            ready = streams.select(PAUSE_S)
            if not ready:
                hearing.pause()
                if process.poll() is not None:
                    break  # what it left behind holds its streams open
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
            if time.monotonic() >= end:
                raise TimeoutError
    return bytes(answer)
