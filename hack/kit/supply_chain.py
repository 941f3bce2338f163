"""The tools that look at what Innkeeper is made of, in a Python environment of their own in the cache.

They are pinned by requirements/supply-chain.txt and kept apart from the project's environment: their needs are not its.
"""

from pathlib import Path

from kit import paths, pinned_packages

REQUIREMENTS = paths.CHECKOUT / "requirements"
TOOLS = REQUIREMENTS / "supply-chain.txt"
# What goes to users: the packages of both images.
SHIPPED = ("base.txt", "libvirt.txt", "s3.txt")


def tool(name: str) -> Path:
    """Return the path of a tool; install them all first where they are not there.

    Raises:
        StepError: when they cannot be had.
    """
    doing = f"installing the tools of {TOOLS.name}"
    return pinned_packages.directory("supply-chain", requirements=TOOLS, doing=doing) / name
