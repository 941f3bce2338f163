"""What others wrote, made fit for a terminal: one line in which every character is seen and none is obeyed. Pure.

Conditions, Events, operations and errors hold what hosts, guests and other people put into them. Everything for people
goes through here; documents for machines do not, they have escapes of their own.
"""

import re

_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")


def one_line(text: str) -> str:
    r"""Return text without line breaks (each run of them is a blank); what cannot be printed is shown as `\x1b`."""
    folded = _BREAKS.sub(" ", text)
    return "".join(each if each.isprintable() else _escaped(each) for each in folded)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
