"""What all scripts do alike on their command line: show their docstring as help, end with a clear error.

A failure that the script foresees ends with its own message and exit code; an interrupt ends with 130 as
shells expect. Anything else is a fault of the script and keeps its traceback.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from kit import paths, steps

INTERRUPTED = 130


def parser(description: str | None, *, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser whose help shows the script's docstring as it stands."""
    as_written = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, epilog=epilog, formatter_class=as_written)


def run(script: Callable[[], int | None]) -> NoReturn:
    """Run the script and end the process with its exit code (None counts as 0)."""
    try:
        sys.exit(script())
    except steps.StepError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)


def go_on_in_the_environment() -> None:
    """Begin the script again under the Python of the checkout's environment, unless it runs there already."""
    python = paths.venv_program("python")
    if os.access(python, os.X_OK) and Path(sys.prefix).resolve() != paths.VENV.resolve():
        os.execv(python, [str(python), *sys.argv])
