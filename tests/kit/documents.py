"""Runs a page of the documents as a reader would: its commands from top to bottom, in one shell.

A page becomes one script. What stands in `sh` and `console` blocks is run as it is written; marks above a block say
how (`at: host-a`, `ends with: 0 or 1`, `for: 3 s`), where else than on the demo (`on: a cluster with nodes`) or that it
cannot be run (`not run: REASON`). The first command that fails ends the page, and the error names its line.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kit import paths
from kit.documents import reading

LANGUAGES = ("sh", "console")
MARKS = {"not run", "run first", "on", "at", "ends with", "for"}
NODES = "a cluster with nodes"
PLACES = {NODES}
DEADLINE_S = 540.0
_SEPARATOR = "\x1e"
_PRELUDE = f"set -euo pipefail\nstep() {{ printf '\\n{_SEPARATOR}%s\\n' \"$1\"; }}\n"


class DocumentError(AssertionError):
    """A page does not do what it says, or cannot be run as it is marked."""


@dataclass(frozen=True)
class Command:
    """What is run at once: a whole `sh` block, or one prompt of a `console` block with the output that it shows."""

    line: int
    text: str
    shown: str
    marks: Mapping[str, str]


def pages() -> list[Path]:
    """Return every page whose commands must be run; the tutorial is the last, since it ends what the others use."""
    found = [paths.CHECKOUT / "README.md"]
    for folder in ("how-to", "runbooks", "tutorial"):
        found += sorted((paths.CHECKOUT / "docs" / folder).rglob("*.md"))
    return found


def name(page: Path) -> str:
    """Return a page's path in the checkout."""
    return str(page.relative_to(paths.CHECKOUT))


def commands(page: Path) -> list[Command]:
    """Return the commands of a page in their order, also those that are not run.

    Raises:
        DocumentError: when a mark is unknown.
    """
    return [command for block in _command_blocks(page) for command in _of_block(block)]


def not_run(page: Path) -> dict[int, str]:
    """Return the reasons of the blocks that are marked `not run`, by line."""
    return {block.line: block.marks["not run"] for block in _command_blocks(page) if "not run" in block.marks}


def pages_on(place: str) -> list[Path]:
    """Return the pages with commands for another place than the demo."""
    return [page for page in pages() if any(each.marks.get("on") == place for each in commands(page))]


def reader_folder(directory: Path) -> None:
    """Give a reader's folder what the checkout has; what pages write stays in the folder."""
    for entry in paths.CHECKOUT.iterdir():
        if entry.name not in (".run", ".git"):
            (directory / entry.name).symlink_to(entry)


def run(page: Path, *, directory: Path, environment: Mapping[str, str], on: str | None = None) -> None:
    """Run a page's commands in a directory: those for the demo, or those for another place.

    Raises:
        DocumentError: when one fails, or does not show the columns that the page shows.
    """
    here = [each for each in commands(page) if each.marks.get("on") == on]
    wanted = [each for each in here if not each.marks.keys() & {"not run", "run first"}]
    script = _PRELUDE + "".join(f"step {each.line}\n{_as_shell(each)}\n" for each in wanted)
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        raise DocumentError(f"{name(page)} took longer than {DEADLINE_S:.0f} s; it said:\n{said}") from None
    said = _by_line(done.stdout)
    if done.returncode:
        last = max(said, default=0)
        failed = next((each.text for each in wanted if each.line == last), "")
        raise DocumentError(
            f"{name(page)}:{last} ended with {done.returncode}:\n{failed}\nIt said:\n{said.get(last, done.stdout)}"
        )
    for each in wanted:
        _compare(page, each, said[each.line])


def _command_blocks(page: Path) -> Iterator[reading.Block]:
    for block in reading.blocks(page.read_text()):
        if block.language not in LANGUAGES:
            continue
        if unknown := block.marks.keys() - MARKS:
            raise DocumentError(
                f"{name(page)}:{block.line}: no such mark: {', '.join(unknown)}; there are {', '.join(sorted(MARKS))}"
            )
        if (place := block.marks.get("on")) is not None and place not in PLACES:
            raise DocumentError(f"{name(page)}:{block.line}: no such place: {place}; there is {NODES}")
        yield block


def _of_block(block: reading.Block) -> Iterator[Command]:
    if block.language == "sh":
        yield Command(block.line, block.text, "", block.marks)
        return
    lines = block.text.splitlines()
    begins = [at for at, line in enumerate(lines) if line.startswith("$ ")]
    for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
        more = begin + 1
        while more < end and lines[more].startswith("> "):
            more += 1
        text = "\n".join(line[2:] for line in lines[begin:more])
        yield Command(block.line + 1 + begin, text, "\n".join(lines[more:end]), block.marks)


def _as_shell(command: Command) -> str:
    text = command.text
    if host := command.marks.get("at"):
        text = f"hack/lab exec {host} -- bash -euo pipefail -c {shlex.quote(text)}"
    if seconds := command.marks.get("for"):
        text = f"timeout --signal=INT {seconds.split()[0]} bash -c {shlex.quote(text)} || [ $? -eq 124 ]"
    if codes := command.marks.get("ends with"):
        wanted = "|".join(str(int(code)) for code in codes.split(" or "))
        text = f'code=0; ( {text}\n) || code=$?; case "$code" in {wanted}) ;; *) exit 1 ;; esac'
    return text


def _by_line(output: str) -> dict[int, str]:
    parts = output.split(f"\n{_SEPARATOR}")[1:]
    cut = (part.partition("\n") for part in parts)
    return {int(line): said.strip() for line, _, said in cut}


def _compare(page: Path, command: Command, said: str) -> None:
    """Compare the heads of tables only: names, ages and addresses are others each time."""
    head = command.shown.strip().partition("\n")[0].split()
    if head and not any(line.split() == head for line in said.splitlines()):
        raise DocumentError(
            f"{name(page)}:{command.line}: `{command.text}` shows no line {' '.join(head)!r}, but:\n{said}"
        )
