"""The command line: help, versions, wrong options, exit codes."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from innkeeper import __version__
from innkeeper.cli import main, running
from innkeeper.cli.guest.commands import app as guest_app
from innkeeper.cli.main import COMMANDS, app
from innkeeper.errors import TerminalError


def test_help_lists_every_command() -> None:
    answer = CliRunner().invoke(app, ["--help"])
    assert answer.exit_code == 0
    for command in (*COMMANDS, "version"):
        assert command in answer.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(command: str) -> None:
    answer = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    assert ("--output" if command == "doctor" else "--log-format") in answer.output


def commands() -> dict[str, Any]:
    """Return every command, by the words that call it."""
    late = {name: main._import(name) for name in (*main.COMMANDS, *main.SUBCOMMANDS)}
    guest: Any = typer.main.get_command(guest_app)
    return late | {f"guest {name}": each for name, each in guest.commands.items()}


@pytest.mark.parametrize("name", sorted(commands()))
def test_help_shows_all_of_its_words(name: str) -> None:
    """A word in brackets is markup to the library that shows help, and would vanish."""
    command = commands()[name]
    for each in (command, *command.params):
        text = (getattr(each, "help", None) or "") + (getattr(each, "epilog", None) or "")
        assert Text.from_markup(text).plain == text
        assert "default:" not in text, "show_default says a default"


def test_the_version_is_for_people_and_for_scripts() -> None:
    assert __version__ in CliRunner().invoke(app, ["version"]).output
    assert json.loads(CliRunner().invoke(app, ["version", "-o", "json"]).output)["version"] == __version__


def test_help_loads_neither_kopf_nor_libvirt() -> None:
    """An agent must start where kopf is missing, and the operator where libvirt is."""
    code = (
        "import sys\n"
        "from innkeeper.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'kopf', 'libvirt', 'aiohttp'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "operator --listen here",
            "operator: --listen: 'here' does not appear to be an IPv4 or IPv6 address",
        ),
        ("agent --state-dir /none", "agent: give --join-file, or --order-key-file"),
        (
            "images --allow-network 10.2.0.1/16",
            "images: --allow-network: Input is not a valid IPv4 network\n",
        ),
        (
            "agent --max-builds 0 --streams no",
            "agent: --streams: Input should be 'own' or 'external'; --max-builds: ",
        ),
    ],
)
def test_wrong_options_are_named_in_words_of_people(words: str, told: str) -> None:
    answer = CliRunner().invoke(app, words.split())
    assert answer.exit_code == 2
    assert answer.output.startswith(f"innkeeper {told}")


@pytest.mark.parametrize("command", sorted(main.SUBCOMMANDS))
def test_help_of_a_process_names_the_commands_beside_it(command: str) -> None:
    answer = CliRunner().invoke(app, [command.split(maxsplit=1)[0], "--help"], env={"COLUMNS": "200"})
    assert f"innkeeper {command}: {main.SUBCOMMANDS[command]}" in answer.output


def test_a_process_that_must_end_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    async def lost() -> None:
        raise ExceptionGroup(
            "flows", [ExceptionGroup("inner", [TerminalError("the Lease is held by another")])]
        )

    assert running.run_process("operator", lost) == 1
    assert capsys.readouterr().err == "innkeeper operator: the Lease is held by another\n"


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    async def broken() -> None:
        raise ExceptionGroup("flows", [KeyError("x")])

    with pytest.raises(ExceptionGroup):
        running.run_process("operator", broken)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_in_order(number: signal.Signals) -> None:
    ended: list[str] = []

    async def until_cancelled() -> None:
        import asyncio

        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("in order")

    assert running.run_process("agent", until_cancelled) == 0
    # What was to be done is not done: no script may take it for that.
    assert running.run_process("operator rebuild", until_cancelled, is_service=False) == 128 + number
    assert ended == ["in order", "in order"]


def test_what_comes_to_its_end_all_the_same_is_done() -> None:
    async def done() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert running.run_process("operator rebuild", done, is_service=False) == 0
