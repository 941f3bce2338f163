"""Where things lie: the checkout, its Python environment, what was built, what runs.

Never creates anything, except the directories that a caller asks for by name. Three variables move things:
`INNKEEPER_CACHE` (what is built once and kept), `INNKEEPER_RUN` (state of running trials) and
`XDG_CACHE_HOME` (the usual place of caches, used when the first is unset).
"""

import os
import re
import shutil
from pathlib import Path

from kit.steps import StepError

CHECKOUT = Path(__file__).resolve().parents[2]
# What people call, and what it is made of: the folder has the name that Kubernetes projects give it.
SCRIPTS = CHECKOUT / "hack"
VENV = CHECKOUT / ".venv"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def cache_root() -> Path:
    """Return the directory of things that are built once and shared by all checkouts."""
    if own := os.environ.get("INNKEEPER_CACHE"):
        return Path(own).resolve()
    usual = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(usual).resolve() / "innkeeper"


def run_root() -> Path:
    """Return the directory that holds one directory for each running trial."""
    return Path(os.environ.get("INNKEEPER_RUN") or CHECKOUT / ".run").resolve()


def run_directory(name: str) -> Path:
    """Return the directory of the trial called `name`; it may not exist yet.

    Raises:
        StepError: when the name could not serve as a directory and as part of other names.
    """
    if not _NAME.fullmatch(name):
        raise StepError(f"the name {name!r} cannot be used: take 1 to 40 of a-z, 0-9 and -, no - at an end")
    return run_root() / name


def venv_program(name: str) -> Path:
    """Return the path of a program in the checkout's Python environment, there or not."""
    return VENV / "bin" / name


def kubectl() -> Path | None:
    """Return the kubectl to use: the environment's own, which is pinned, before the one on PATH."""
    pinned = venv_program("kubectl")
    if os.access(pinned, os.X_OK):
        return pinned
    found = shutil.which("kubectl")
    return Path(found) if found else None
