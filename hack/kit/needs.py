"""What a script needs before it begins, so that nobody waits minutes to hear that something is missing.

Nothing is installed here; each error names the script that brings what is missing.
"""

import os
import shutil
from pathlib import Path

from kit import paths, steps


def programs(*names: str) -> None:
    """Look for programs on PATH.

    Raises:
        StepError: when some are not there.
    """
    if missing := [name for name in names if shutil.which(name) is None]:
        raise steps.StepError(f"not on PATH: {', '.join(missing)}; run hack/system-packages")


def environment() -> Path:
    """Return the Python of the checkout's environment.

    Raises:
        StepError: when there is none.
    """
    python = paths.venv_program("python")
    if not os.access(python, os.X_OK):
        raise steps.StepError("the Python environment is missing: run hack/python-env")
    return python


def root(why: str) -> None:
    """Look whether this process may do what it is about to do.

    Raises:
        StepError: when it is not root; `why` tells what root is for.
    """
    if os.geteuid() != 0:
        raise steps.StepError(f"{why}: run this as root")
