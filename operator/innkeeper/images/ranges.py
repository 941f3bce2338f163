"""The `Range` header of a request for bytes (RFC 9110, section 14): one range, or the whole."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class UnsatisfiableError(ValueError):
    """The range lies outside the file."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def is_the_rest(header: str | None) -> bool:
    """Tell whether all is asked for from some byte on, as by who goes on with a copy."""
    match = _ONE.fullmatch((header or "").replace(" ", ""))
    return match is not None and match[1] != "" and match[2] == ""


def wanted(header: str | None, *, size: int) -> ByteRange | None:
    """Return the range that is asked for; None means the whole, as for any header that is not understood.

    Raises:
        UnsatisfiableError: no byte of the file lies in the range.
    """
    match = _ONE.fullmatch((header or "").replace(" ", ""))
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        found = ByteRange(max(0, size - int(last)), size)
    elif last == "":
        found = ByteRange(int(first), size)
    elif int(last) < int(first):
        return None
    else:
        found = ByteRange(int(first), min(int(last) + 1, size))
    if found.start >= found.end:
        raise UnsatisfiableError(f"the file has {size} bytes")
    return found
