"""What others wrote, made fit for a terminal, which obeys none of it. Pure.

Conditions, Events, operations and errors hold what hosts, guests and other people put into them: everything for people
goes through here. Documents for machines do not; they have escapes of their own.
"""

import re

# ECMA-48: a control sequence, an operating system command up to its end, another escape; then the control characters.
_CONTROLS = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_BEGUN = re.compile(r"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|\x1b\][^\x07\x1b]*\x1b?|\x1b[ -/]*)\Z")
_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")


def one_line(text: str) -> str:
    r"""Return text without line breaks (each run of them is a blank); what cannot be printed is shown as `\x1b`."""
    folded = _BREAKS.sub(" ", text)
    return "".join(each if each.isprintable() else _escaped(each) for each in folded)


def without_controls(text: str) -> str:
    """Return text of several lines without what would move the cursor, change colours or ring a bell."""
    return _CONTROLS.sub("", text)


def split_begun(text: str) -> tuple[str, str]:
    """Return a text that more comes behind, and from it the escape sequence at its end that is not whole yet."""
    begun = _BEGUN.search(text)
    return (text[: begun.start()], begun[0]) if begun else (text, "")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
