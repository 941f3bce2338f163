"""What all scripts do alike on their command line: show their docstring as help, end with a clear error.

A failure that the script foresees ends with its own message and exit code; an interrupt ends with 130, and whoever is
asked to end by SIGTERM or SIGHUP ends with 128 and its number, as shells expect. Each way what the script started is
ended first. Anything else is a fault of the script and keeps its traceback.
"""

import argparse
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from kit import needs, paths, steps

INTERRUPTED = 130
_BY_SIGNAL = 128


def parser(description: str | None, *, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser whose help shows the script's docstring as it stands."""
    as_written = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, epilog=epilog, formatter_class=as_written)


def count(word: str) -> int:
    """Read an option that says how many: 1 at least.

    Raises:
        ArgumentTypeError: when it is no such number.
    """
    if not word.isascii() or not word.isdigit() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number of 1 or more")
    return int(word)


def run(script: Callable[[], int | None]) -> NoReturn:
    """Run the script and end the process with its exit code (None counts as 0)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup lets SIGHUP be ignored
            signal.signal(number, _end)
    try:
        sys.exit(script())
    except steps.StepError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End as an interrupt does: what the script started is ended, and what it laid down for itself removed."""
    sys.exit(_BY_SIGNAL + number)


def go_on_in_the_environment() -> None:
    """Begin the script again under the Python of the checkout's environment, unless it has all packages already.

    Raises:
        StepError: when there is no environment, and this Python lacks them.
    """
    if Path(sys.prefix).resolve() == paths.VENV.resolve():
        return
    if importlib.util.find_spec("pydantic") is None or paths.VENV.exists():
        _become([str(needs.environment()), *sys.argv], os.environ)


def go_on_as(module: str, *words: str, environment: Mapping[str, str] | None = None) -> NoReturn:
    """Become a module that runs under the environment's Python, with the project's code in reach.

    It takes this process's place, so that whoever interrupts or ends the script reaches what has to clean up.

    Raises:
        StepError: when there is no environment.
    """
    places = os.pathsep.join(map(str, (paths.SCRIPTS, paths.CHECKOUT / "operator", paths.CHECKOUT)))
    command = [str(needs.environment()), "-m", module, *words]
    _become(command, {**os.environ, "PYTHONPATH": places, **(environment or {})})


def _become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    os.execve(command[0], command, environment)
