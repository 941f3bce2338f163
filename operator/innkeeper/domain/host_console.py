"""A part of what a guest wrote to its console, as its host tells of it, and the word for the place where it ends.

The word is the host's own: the number of the file, how many bytes of it were told,
and a sum of the last of them. Who follows a console gives it back.
"""

import re
from dataclasses import dataclass

END_HEADER = "Innkeeper-Console-End"
LEFT_OUT_HEADER = "Innkeeper-Console-Left-Out"
NOTHING_YET = "0-0-0"
_PLACE = re.compile(r"[0-9]{1,20}-[0-9]{1,18}-[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ConsolePart:
    """Bytes of the guest's choice. `end` is empty where the host's agent knows no such word."""

    written: bytes
    end: str = ""
    is_some_left_out: bool = False
    """Before these bytes the guest wrote more since: it is kept no longer, or is too much for one answer."""


def is_place(text: str) -> bool:
    """Tell whether a text can be the word for a place."""
    return _PLACE.fullmatch(text) is not None
