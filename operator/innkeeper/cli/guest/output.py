"""How every verb of `kubectl guest` prints, and the options that all of them have."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from innkeeper.cli.guest import tables
from innkeeper.cli.guest.printable import one_line


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of every account.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace.", show_default="the context's")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="table, wide, json, yaml or name.")]


def dump(document: dict[str, Any], output: Output) -> None:
    """Print a document for machines."""
    text = json.dumps(document, indent=2)
    print_lines(text if output is Output.JSON else yaml.safe_dump(json.loads(text), sort_keys=False).rstrip())


def show_guests(
    guests: list[dict[str, Any]], output: Output, *, done: str | None = None, namespaces: bool = False
) -> None:
    """Print Guests; as a table, or where something was done with them, one line for each that says what."""
    if output in (Output.JSON, Output.YAML):
        dump(guests[0] if len(guests) == 1 else {"kind": "List", "items": guests}, output)
    elif output is Output.TABLE and done is not None:
        for each in guests:
            say(f"guest.innkeeper.dev/{each['metadata']['name']} {done}")
    elif output is Output.NAME:
        for each in guests:
            say(f"guest.innkeeper.dev/{each['metadata']['name']}")
    else:
        views = [tables.view_of(each) for each in guests]
        now = datetime.now(UTC)
        print_lines(tables.guests(views, wide=output is Output.WIDE, namespaces=namespaces, now=now))


def say(text: str, *, to_error: bool = False) -> None:
    """Print one line for people, whatever others have put into it."""
    typer.echo(one_line(text), err=to_error)


def print_lines(text: str) -> None:
    """Print lines that are safe already: a table, a document for machines, a script."""
    typer.echo(text)
