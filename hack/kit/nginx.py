"""Debian's nginx in the cache, never installed: fetched by apt, which checks it, and unpacked.

It appears whole or not at all, and two scripts at once wait for each other.
"""

import os
import shutil
import tempfile
from pathlib import Path

from kit import locks, needs, paths, steps

PACKAGES = ("nginx",)


def program() -> Path:
    """Return where the program lies, there or not."""
    return _home() / "usr" / "sbin" / "nginx"


def fetch() -> Path:
    """Return where the program lies; fetch and unpack it first where it is not there.

    Raises:
        StepError: when it cannot be had, or does not lie where Debian's package has it.
    """
    if os.access(program(), os.X_OK):
        return program()
    needs.programs("apt-get", "dpkg-deb")
    with locks.exclusive(_home().with_suffix(".lock"), waiting_for="another script that fetches nginx"):
        if not os.access(program(), os.X_OK):
            _fetch()
    if not os.access(program(), os.X_OK):
        raise steps.StepError(f"the package nginx of this machine's archive holds no {program()}")
    return program()


def _fetch() -> None:
    # Beside its place, so that it is moved there in one step.
    beside = _home().parent
    with steps.step("fetching nginx"), tempfile.TemporaryDirectory(prefix="nginx-", dir=beside) as directory:
        unpacked = Path(directory) / "unpacked"
        try:
            steps.run(["apt-get", "download", *PACKAGES], doing="fetching nginx", cwd=Path(directory))
        except steps.StepError as error:
            raise steps.StepError(
                f"{error}\nWhere it finds no package, run `apt-get update` first."
            ) from error
        for package in sorted(Path(directory).glob("*.deb")):
            steps.run(["dpkg-deb", "--extract", package, unpacked], doing="unpacking nginx")
        shutil.rmtree(_home(), ignore_errors=True)
        unpacked.rename(_home())


def _home() -> Path:
    return paths.cache_root() / "nginx"
