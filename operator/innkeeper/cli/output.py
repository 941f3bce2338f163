"""How commands that print facts print them."""

from enum import StrEnum


class Output(StrEnum):
    """Text for people, JSON for scripts."""

    TEXT = "text"
    JSON = "json"
