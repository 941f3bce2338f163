"""How every verb of `kubectl guest` prints, and the options that all of them have."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace. (default: the context's)")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="table, wide, json, yaml or name.")]


def dump(document: dict[str, Any], output: Output) -> None:
    """Print a document for machines."""
    say(
        json.dumps(document, indent=2)
        if output is Output.JSON
        else yaml.safe_dump(document, sort_keys=False).rstrip()
    )


def say(text: str, *, to_error: bool = False) -> None:
    """Print for people."""
    typer.echo(text, err=to_error)
