"""Completion: names of guests from the API, for kubectl's own completion and for shells that complete `kubectl-guest`.

kubectl asks a program `kubectl_complete-guest` on PATH, and wants candidates one a line and a directive of cobra's.
"""

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Annotated
from urllib.parse import quote, urlencode

import typer
from typer.completion import (  # type: ignore[attr-defined] # typer names them here for its own options
    completion_init,
    get_completion_script,
)

from innkeeper.cli.guest.asking import BASE, Asking, AskingError, Kubectl
from innkeeper.cli.guest.connection import words_of
from innkeeper.cli.guest.output import print_lines, say

PROGRAM = "kubectl-guest"
VARIABLE = "_KUBECTL_GUEST_COMPLETE"
PAGE = 500
PAGES = 10  # who types waits for each
MOST = 500
_NO_FILES = ":4"  # cobra's directive: offer no file names
_FOR_KUBECTL = '#!/bin/sh\nexec kubectl-guest complete-words -- "$@"\n'


class Shell(StrEnum):
    """Who is to complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    KUBECTL = "kubectl"


def guest_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of guests that begin so; none where nobody can be asked."""
    before = context.parent.params if context.parent else {}
    given = {**before, **{key: value for key, value in context.params.items() if value is not None}}
    asking: Asking = context.obj or Kubectl(words_of(given), asks=False)
    try:
        where = quote(given.get("namespace") or asking.namespace(), safe="")
        names = _names(asking, f"{BASE}/namespaces/{where}/guestviews")
        return list(islice((each for each in names if each.startswith(incomplete)), MOST))
    except AskingError:
        return []


def _names(asking: Asking, path: str) -> Iterator[str]:
    """Yield names of guests page by page, up to so many pages."""
    after = ""
    for _ in range(PAGES):
        page = asking.get(f"{path}?{urlencode({'limit': PAGE, **({'continue': after} if after else {})})}")
        yield from (each["metadata"]["name"] for each in page["items"])
        after = page["metadata"].get("continue", "")
        if not after:
            return


def completion(
    shell: Annotated[Shell, typer.Argument(help="Your shell; or kubectl, for `kubectl guest` itself.")],
) -> None:
    """Print what makes a shell complete `kubectl-guest`, or the program by which kubectl completes `kubectl guest`."""
    if shell is Shell.KUBECTL:
        print_lines(_FOR_KUBECTL.rstrip())
        return
    print_lines(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value))


def complete_words(words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Print candidates for the last word, as kubectl wants them."""
    _complete(words or [""])


def main() -> None:
    """Run as `kubectl_complete-guest`."""
    _complete(sys.argv[1:] or [""])


def _complete(words: list[str]) -> None:
    """Answer as cobra's programs do: the candidates, then a directive."""
    os.environ[VARIABLE] = "complete_bash"
    os.environ["COMP_WORDS"] = shlex.join([PROGRAM, *words])
    os.environ["COMP_CWORD"] = str(len(words))
    from innkeeper.cli.guest.commands import app

    answer = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(answer):
        answer_shell(app)
    for line in answer.getvalue().splitlines():
        if line:
            say(line)
    say(_NO_FILES)


def answer_shell(app: typer.Typer) -> None:
    """End the process with candidates where a shell asks for them; else return."""
    if VARIABLE in os.environ:
        completion_init()
        app(prog_name=PROGRAM, complete_var=VARIABLE)
