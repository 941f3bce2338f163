"""Pages name only options that there are, and a command that they show has the options that stand behind it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from kit import paths

from innkeeper.cli import main
from innkeeper.cli.guest.commands import app
from tests.kit import documents

NAMED = re.compile(r"`(--[a-z][a-z0-9-]*[a-z0-9])")
OTHERS = {
    # Of docker build, kubectl create secret, helm install.
    "--build-arg",
    "--secret",
    "--take-ownership",
    "--type",
}


def of_commands() -> dict[str, set[str]]:
    """Return the options of each command, by the words that call it."""
    late = {f"innkeeper {name}": main._import(name) for name in (*main.COMMANDS, *main.SUBCOMMANDS)}
    group: Any = typer.main.get_command(app)
    early = {f"kubectl guest {name}": command for name, command in group.commands.items()}
    return {
        name: {"--help", *(word for each in command.params for word in (*each.opts, *each.secondary_opts))}
        for name, command in (late | early).items()
    }


def of_scripts() -> Iterator[str]:
    for script in paths.HACK.iterdir():
        if script.is_file():
            yield from re.findall(r'"(--[a-z][a-z0-9-]+)"', script.read_text())


COMMANDS = of_commands()
ALL = set().union(*COMMANDS.values(), of_scripts(), OTHERS)
each_page = pytest.mark.parametrize("page", documents.pages(), ids=documents.name)


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield our commands of a block with the words behind each."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"[|;&]", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # a part of something quoted
                continue
            for length in (3, 2):
                name = " ".join(words[:length])
                if name in COMMANDS:
                    yield name, words[length:]
                    break


@each_page
def test_an_option_that_is_named_exists(page: Path) -> None:
    assert set(NAMED.findall(page.read_text())) - ALL == set()


@each_page
def test_a_command_that_is_shown_has_its_options(page: Path) -> None:
    for command in documents.commands(page):
        for name, words in calls(command.text):
            own = words[: words.index("--")] if "--" in words else words
            options = {word.partition("=")[0] for word in own if re.match("--?[a-z]", word)}
            assert options - COMMANDS[name] == set(), f"{name}, line {command.line}"


@each_page
def test_the_kind_that_kubernetes_has_too_is_named_in_full(page: Path) -> None:
    """`kubectl get ipaddresses` shows those of networking.k8s.io, which are none."""
    shown = [each.text for each in documents.commands(page)]
    assert [
        each for each in shown if re.search(r"kubectl (get|delete|describe) ipaddress(es)?\b(?!\.)", each)
    ] == []
