"""The tools that look at what Innkeeper is made of, in a Python environment of their own in the cache.

They are pinned by requirements/supply-chain.txt and kept apart from the project's environment: their needs are not its.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from kit import paths, steps

REQUIREMENTS = paths.CHECKOUT / "requirements"
TOOLS = REQUIREMENTS / "supply-chain.txt"
# What goes to users: the packages of both images.
SHIPPED = ("base.txt", "libvirt.txt", "s3.txt")


def tool(name: str) -> Path:
    """Return the path of a tool; install them all first where they are not there.

    Raises:
        StepError: when they cannot be had.
    """
    pinned = hashlib.sha256(TOOLS.read_bytes()).hexdigest()
    home = paths.cache_root() / f"supply-chain-{pinned[:12]}"
    if not (home / "complete").exists():
        with steps.step(f"installing the tools of {TOOLS.name} into {home}"):
            shutil.rmtree(home, ignore_errors=True)
            steps.run([sys.executable, "-m", "venv", home], doing="making a place for them")
            pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
            pip += [
                "install",
                "--quiet",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "--requirement",
                TOOLS,
            ]
            steps.run(pip, doing="installing them")
            (home / "complete").touch()
    return home / "bin" / name
