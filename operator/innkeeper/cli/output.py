"""How commands that print facts print them, and the option that chooses it."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """Text for people, JSON for scripts."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text, or json for scripts.")]
