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

PROGRESS_INTERVAL = 15.0
_TAIL_LINES = 40


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
) -> str:
    """Run a program to its end and return its output; print a line every 15 seconds while it runs.

    The output (both streams) goes to `log`, or to a temporary file, and is shown only in the error.

    Raises:
        StepError: when the program is missing or ends with another code than 0.
    """
    with _log_file(log) as output:
        begun = time.monotonic()
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
            raise StepError(f"{doing}: {command[0]} is not there; run hack/system-packages") from error
        _wait(process, doing=doing, begun=begun, stdin=stdin)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != 0:
        tail = "\n".join(text.splitlines()[-_TAIL_LINES:])
        raise StepError(f"{doing}: {command[0]} ended with code {process.returncode}; it said last:\n{tail}")
    return text


@contextmanager
def _log_file(log: Path | None):  # noqa: ANN202 - two kinds of binary file, of no interest to the caller
    if log is None:
        with tempfile.TemporaryFile() as output:
            yield output
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+b") as output:
        yield output


def _wait(process: subprocess.Popen[bytes], *, doing: str, begun: float, stdin: str | None) -> None:
    text = None if stdin is None else stdin.encode()
    try:
        while True:
            try:
                process.communicate(input=text, timeout=PROGRESS_INTERVAL)
            except subprocess.TimeoutExpired:
                say(f"    {seconds(time.monotonic() - begun)}: {doing} ...")
            else:
                return
    except BaseException:
        process.kill()
        process.wait()
        raise
