"""The real kstatus of cli-utils as a program, built once into the cache from the module files in hack/kstatus.d."""

from pathlib import Path

from kit import paths
from kit.go_programs import GoProgram, build

_SOURCE = GoProgram("kstatus", paths.SCRIPTS / "kstatus.d", ".")


def program() -> Path:
    """Return the program that reads JSON objects, one a line, and prints a status for each; build it if need be.

    Raises:
        StepError: when it has to be built and cannot be.
    """
    directory = paths.cache_root() / "kstatus"
    build([_SOURCE], directory)
    return directory / _SOURCE.name
