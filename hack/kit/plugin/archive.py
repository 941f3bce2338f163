"""One archive of `kubectl guest`: a launcher, the plug-in's own modules, and its libraries, for one platform.

Libraries are those of the lock file, checked by hash. What is compiled lies there once for each Python; the launcher
takes what fits the Python that runs it. The same input makes the same bytes.
"""

import csv
import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import paths, steps

PLATFORMS = {
    "linux-amd64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_28",
    "darwin-amd64": "x86_64-apple-darwin",
    "darwin-arm64": "aarch64-apple-darwin",
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PROGRAM = "kubectl-guest"
LAUNCHER = paths.CHECKOUT / "packaging" / "krew" / PROGRAM
_LOCK = paths.CHECKOUT / "requirements" / "base.txt"
_LIBRARIES = ("typer", "pyyaml")
_NOT_SHIPPED = ("__pycache__", "*.pyc", "*.dist-info/RECORD", "bin", ".lock")
_OWN = """
import importlib, pkgutil, sys
import innkeeper.cli.guest as package
for each in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
    importlib.import_module(each.name)
print(*sorted(m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "innkeeper"), sep="\\n")
"""


@dataclass(frozen=True)
class Archive:
    """An archive that was made."""

    platform: str
    file: Path

    @property
    def sha256(self) -> str:
        """The digest that krew compares."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()


def make(platform: str, *, pythons: Sequence[str], work: Path, target: Path) -> Archive:
    """Make the archive of one platform.

    Raises:
        StepError: a library of the lock file cannot be had for it.
    """
    tree = work / platform
    library = tree / "lib"
    own(library / "any")
    locked = _locked(work)
    _install(locked, library / "any", platform=platform, python=pythons[0])
    compiled = _take_compiled(library / "any")
    for python in pythons:
        place = library / f"cp{python.replace('.', '')}"
        _install(locked, place, platform=platform, python=python, only=compiled)
    shutil.copy(LAUNCHER, tree / PROGRAM)
    shutil.copy(paths.CHECKOUT / "LICENSE", tree / "LICENSE")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_packed(tree))
    return Archive(platform, target)


def own(directory: Path) -> None:
    """Copy the project's modules that the plug-in imports, and no others."""
    source = paths.CHECKOUT / "operator"
    done = subprocess.run(
        [sys.executable, "-c", _OWN],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        file = directory / Path(line).relative_to(source)
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(line, file)


def _locked(work: Path) -> Path:
    """Write what the libraries need, with the versions and hashes of the project's lock file."""
    file = work / "requirements.txt"
    if not file.exists():
        command: list[str | Path] = [paths.venv_program("uv"), "pip", "compile", "-", "--constraint", _LOCK]
        command += ["--universal", "--generate-hashes", "--python-version", PYTHONS[0], "--quiet"]
        command += ["--no-header", "--no-annotate", "--output-file", file]
        steps.run(command, doing="resolving the libraries", stdin="\n".join(_LIBRARIES) + "\n")
    return file


def _install(
    locked: Path, directory: Path, *, platform: str, python: str, only: Sequence[str] | None = None
) -> None:
    wanted = locked if only is None else _part(locked, only)
    command: list[str | Path] = [paths.venv_program("uv"), "pip", "install", "--target", directory]
    command += ["--python-platform", PLATFORMS[platform], "--python-version", python, "--no-deps", "--quiet"]
    command += ["--only-binary", ":all:", "--require-hashes", "--no-compile-bytecode", "-r", wanted]
    steps.run(command, doing=f"installing the libraries for {platform}, Python {python}")


def _part(locked: Path, names: Sequence[str]) -> Path:
    """Write the entries of a lock file that are of some names."""
    entries = locked.read_text().replace("\\\n", " ").splitlines()
    found = [each for each in entries if _canonical(each.partition("==")[0]) in names]
    if len(found) < len(names):
        raise steps.StepError(f"{locked} lacks one of {', '.join(names)}, which have compiled parts")
    file = locked.with_name("compiled.txt")
    file.write_text("\n".join(found) + "\n")
    return file


def _take_compiled(directory: Path) -> list[str]:
    """Remove the libraries that have compiled parts from there, and return their names."""
    names = []
    for record in sorted(directory.glob("*.dist-info/RECORD")):
        files = [path for path, *_ in csv.reader(record.read_text().splitlines())]
        if not any(each.endswith(".so") for each in files):
            continue
        names.append(_canonical(record.parent.name.partition("-")[0]))
        for top in {directory / each.partition("/")[0] for each in files if not each.startswith("..")}:
            shutil.rmtree(top) if top.is_dir() else top.unlink(missing_ok=True)
    return names


def _canonical(name: str) -> str:
    """Return a package's name as lock files write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _packed(tree: Path) -> bytes:
    raw, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in _files(tree):
            info = tarfile.TarInfo(str(file.relative_to(tree)))
            info.size, info.mode = file.stat().st_size, 0o755 if file.name == PROGRAM else 0o644
            with file.open("rb") as opened:
                archive.addfile(info, opened)
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as compressed:
        compressed.write(raw.getvalue())
    return packed.getvalue()


def _files(tree: Path) -> Iterator[Path]:
    for file in sorted(tree.rglob("*")):
        parts = file.relative_to(tree)
        left_out = any(part.match(pattern) for part in (parts, *parts.parents) for pattern in _NOT_SHIPPED)
        if file.is_file() and not left_out:
            yield file
