"""Progress lines and timings of the scripts, and the error that ends one that cannot go on.

Everything a person should see goes to standard output, one line a step. Programs that talk much are run by
`run`, which shows their output only when they fail.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PROGRESS_INTERVAL = 15.0
_END_GRACE_S = 10.0
_TAIL_LINES = 40
_LINE_BYTES = 400


class StepError(Exception):
    """A step could not be done; the message says why and what to do."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def say(line: str) -> None:
    """Print one line at once, even where standard output is a file."""
    print(line, flush=True)


def seconds(duration: float) -> str:
    """Return a duration as people write it: `0.4 s`, `12 s`, `4 min 26 s`."""
    if duration < 10:  # noqa: PLR2004 - below ten seconds a tenth tells something
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print what is done and, when it is done, how long it took."""
    say(f"==> {title}")
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"    failed after {seconds(time.monotonic() - begun)}: {title}")
        raise
    say(f"    done in {seconds(time.monotonic() - begun)}: {title}")


def run(
    command: Sequence[str | Path],
    *,
    doing: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    log: Path | None = None,
    show_last: bool = False,
) -> str:
    """Run a program to its end and return its output; print a line every 15 seconds while it runs.

    The output (both streams) goes to `log`, or to a temporary file, and is shown only in the error. With
    `show_last` the progress line also tells the last line of output.

    Raises:
        StepError: when the program is missing or ends with another code than 0.
    """
    with _log_file(log) as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **env} if env else None,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except FileNotFoundError as error:
            raise StepError(f"{doing}: {command[0]} is not there; run {_brought_by(command[0])}") from error
        begun = time.monotonic()
        for _ in _until_done(process, stdin=stdin):
            last = f": {_last_line(output)}" if show_last else ""
            say(f"    {seconds(time.monotonic() - begun)}: {doing} ...{last}")
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != 0:
        tail = "\n".join(text.splitlines()[-_TAIL_LINES:])
        raise StepError(f"{doing}: {command[0]} ended with code {process.returncode}; it said last:\n{tail}")
    return text


@contextmanager
def _log_file(log: Path | None) -> Iterator[BinaryIO]:
    if log is None:
        with tempfile.TemporaryFile() as output:
            yield output
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+b") as output:
        yield output


def _until_done(process: subprocess.Popen[bytes], *, stdin: str | None) -> Iterator[None]:
    """Yield every 15 seconds until the process ended; it never outlives this."""
    text = None if stdin is None else stdin.encode()
    try:
        while True:
            try:
                process.communicate(input=text, timeout=PROGRESS_INTERVAL)
            except subprocess.TimeoutExpired:
                yield
            else:
                return
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, which lets it end what it started itself, and kill it when it does not."""
    try:
        process.terminate()
        process.wait(timeout=_END_GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def _brought_by(program: str | Path) -> str:
    """Return the script that brings a program which is not there."""
    return "hack/python-env" if ".venv" in Path(program).parts else "hack/system-packages"


def _last_line(output: BinaryIO) -> str:
    """Read the end of a file that another process writes, without moving the offset that both share."""
    size = os.fstat(output.fileno()).st_size
    end = os.pread(output.fileno(), _LINE_BYTES, max(0, size - _LINE_BYTES)).decode(errors="replace").strip()
    return end.splitlines()[-1] if end else ""
