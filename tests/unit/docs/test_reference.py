"""Reference pages leave nothing out, and options tell the defaults that settings have."""

import re
from enum import StrEnum

import pytest
import typer
from kit import paths
from kit.reference import cli, conditions, settings

from innkeeper.cli import main
from innkeeper.cli.guest import commands
from innkeeper.domain import reasons


def test_every_command_is_there() -> None:
    page = cli.render()
    guest = typer.main.get_command(commands.app)
    names = [f"innkeeper {each}" for each in (*main.COMMANDS, *main.SUBCOMMANDS)]
    names += [f"kubectl guest {each}" for each in guest.commands]  # type: ignore[attr-defined] - it is a group
    assert [each for each in names if f"\n## {each}\n" not in page] == []


@pytest.mark.parametrize("process", settings.PROCESSES)
def test_every_setting_is_there(process: str) -> None:
    part = settings.render().partition(f"## innkeeper {process}\n")[2].partition("\n## ")[0]
    form = settings.PROCESSES[process]
    assert [each for each in form.model_fields if f"| `{settings.variable(form, each)}` |" not in part] == []


WORDED = {
    "max_store_bytes": "256 GiB",
    "max_image_bytes": "64 GiB",
    "operator_user": "the operator's account",
    "node_token_file": "its service account's",
    "leader_election": "leader-election",
    "query_listen": "every address",
}
"""What `--help` says in words of a default that is a number or a name."""


@pytest.mark.parametrize("process", settings.PROCESSES)
def test_help_tells_each_default_as_its_setting_has_it(process: str) -> None:
    form = settings.PROCESSES[process]
    options = [each for each in main._import(process).params if each.name in form.model_fields]
    defaults = {each.name: settings.shown_default(form.model_fields[each.name]) for each in options}
    assert any(defaults.values())
    told = {each.name: each.show_default for each in options if defaults[each.name]}
    assert told == {name: WORDED.get(name, defaults[name]) for name in told}


def test_every_reason_is_there_with_its_meaning() -> None:
    page = conditions.render()
    for name in conditions.OF:
        kind: type[StrEnum] = getattr(reasons, name)
        part = page.partition(f"## {conditions.OF[name]}\n")[2].partition("\n## ")[0]
        assert [
            each for each in kind if not re.search(rf"^\| `{each}` \| .+ \| .+ \|$", part, re.MULTILINE)
        ] == []


def test_a_comment_on_its_own_line_names_the_condition() -> None:
    source = (
        'class GuestReason(StrEnum):\n    """Reasons."""\n\n    # Scheduled\n    A = "A"  # so\n'
        '    B = (\n        "B"  # long\n    )\n    # Ready: later\n    C = "C"\n'
    )
    words = conditions.read(source)["GuestReason"]
    assert words == [
        conditions.Word("A", "Scheduled", "so"),
        conditions.Word("B", "Scheduled", "long"),
        conditions.Word("C", "Ready: later", ""),
    ]


def test_generated_pages_are_in_the_site() -> None:
    navigation = (paths.CHECKOUT / "mkdocs.yml").read_text()
    pages = sorted((paths.CHECKOUT / "docs" / "reference").glob("*.md"))
    assert [each.name for each in pages if f"reference/{each.name}" not in navigation] == []
