"""Pages name only options that there are, and the command line takes each command that they show, in a sentence too."""

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

IN_A_SENTENCE = re.compile(r"`((?:kubectl guest|kubectl apply|innkeeper) [^`]+)`")
BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`(--[a-z][a-z0-9-]*[a-z0-9])")
OTHERS = {
    # Of docker build, kubectl create secret, helm install, pytest-kubernetes.
    "--build-arg",
    "--k8s-provider",
    "--secret",
    "--take-ownership",
    "--type",
}


def by_name() -> dict[str, Any]:
    """Return each command, by the words that call it."""
    late = {f"innkeeper {name}": main._import(name) for name in (*main.COMMANDS, *main.SUBCOMMANDS)}
    group: Any = typer.main.get_command(app)
    return late | {f"kubectl guest {name}": command for name, command in group.commands.items()}


def of_scripts() -> Iterator[str]:
    for script in paths.SCRIPTS.iterdir():
        if script.is_file():
            yield from re.findall(r'"(--[a-z][a-z0-9-]+)"', script.read_text())


[UsageError] = typer.BadParameter.__bases__
CALLED = by_name()
COMMANDS = {
    name: {"--help", *(word for each in command.params for word in (*each.opts, *each.secondary_opts))}
    for name, command in CALLED.items()
}
ALL = set().union(*COMMANDS.values(), of_scripts(), OTHERS)
each_page = pytest.mark.parametrize("page", documents.pages(), ids=documents.name)


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield our commands of a block with the words behind each."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"[|;&]", re.sub(r"\d?[<>]+ *\S+", "", line)):
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


def check(name: str, words: list[str]) -> None:
    """Have the command read what stands behind its name, as it does when it is run; nothing is done.

    Raises:
        AssertionError: it does not take it.
    """
    if "--help" in words:
        return
    try:
        CALLED[name].make_context(name, list(words))
    except UsageError as error:
        message = error.format_message()
        # The page has it written before; that the option is one for a file, it says.
        if "No such file or directory" not in message:
            raise AssertionError(f"{name} {' '.join(words)}: {message}") from error


@each_page
def test_the_command_line_takes_what_blocks_show(page: Path) -> None:
    for command in documents.commands(page):
        for name, words in calls(command.text):
            check(name, words)


@each_page
def test_the_command_line_takes_what_sentences_and_tables_show(page: Path) -> None:
    """A name without anything behind it is no call; it is the name of a command."""
    for text in IN_A_SENTENCE.findall(BLOCK.sub("", page.read_text())):
        shown = text.replace("\\|", "|")
        words = shlex.split(shown)
        if words[1] == "apply":
            [file] = [words[at + 1] for at, word in enumerate(words) if word in ("-f", "-k")]
            places = [paths.CHECKOUT, page.parent, *(paths.CHECKOUT / "docs" / "examples").iterdir()]
            assert file.isupper() or any((each / file).exists() for each in places), shown
        elif not words[1].isupper() and shown not in ("kubectl guest", "innkeeper version"):
            [(name, behind)] = calls(shown) or [("", [])]
            assert name, f"there is no {shown}"
            if behind:
                check(name, behind)


@pytest.mark.parametrize(
    "text",
    [
        "kubectl guest get",
        "kubectl guest wait web --for=there",
        "kubectl guest list web",
        "innkeeper doctor x",
    ],
)
def test_a_command_that_would_be_refused_is_noticed(text: str) -> None:
    [(name, words)] = calls(text)
    with pytest.raises(AssertionError):
        check(name, words)


@each_page
def test_the_kind_that_kubernetes_has_too_is_named_in_full(page: Path) -> None:
    """`kubectl get ipaddresses` shows those of networking.k8s.io, which are none."""
    shown = [each.text for each in documents.commands(page)]
    assert [
        each for each in shown if re.search(r"kubectl (get|delete|describe) ipaddress(es)?\b(?!\.)", each)
    ] == []
