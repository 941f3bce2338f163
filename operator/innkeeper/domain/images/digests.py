"""Digests of images: an algorithm and hex digits, as `sha256:<64 digits>` or `sha512:<128 digits>`.

The only place that knows how a digest looks. Other algorithms are refused: either they are broken, or nobody publishes
them. Reads nothing; whoever reads the bytes feeds them to `new_hash()`.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from innkeeper.errors import TerminalError

_HEX_DIGITS = {"sha256": 64, "sha512": 128}  # the lengths differ, so the hex digits alone name the content

PATTERN = "|".join(f"{algorithm}:[0-9a-f]{{{digits}}}" for algorithm, digits in _HEX_DIGITS.items())
"""A regular expression without anchors; put it into a group."""
MAX_LENGTH = max(len(algorithm) + 1 + digits for algorithm, digits in _HEX_DIGITS.items())

_DIGEST = re.compile(PATTERN)


class DigestInvalidError(TerminalError):
    """The text is no digest."""


class Hash(Protocol):
    """A hash that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far, in hex."""
        ...


@dataclass(frozen=True)
class Digest:
    """What the bytes of an image must hash to."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        """Return the form that specs, orders and URLs carry."""
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read a digest.

        Raises:
            DigestInvalidError: the text is none.
        """
        if not _DIGEST.fullmatch(text):
            message = f"{text[:80]!r} is no digest; write sha256: and 64 hex digits, or sha512: and 128, in lower case"
            raise DigestInvalidError(message)
        algorithm, _, digits = text.partition(":")
        return cls(algorithm, digits)

    @classmethod
    def of_hex(cls, digits: str) -> "Digest":
        """Read hex digits: their number names the algorithm.

        Raises:
            DigestInvalidError: no digest has so many.
        """
        algorithm = next((name for name, count in _HEX_DIGITS.items() if count == len(digits)), "unknown")
        return cls.parse(f"{algorithm}:{digits}")

    def new_hash(self) -> Hash:
        """Return a hash of this digest's algorithm, of no bytes yet."""
        return hashlib.new(self.algorithm)

    def found_by(self, hashed: Hash) -> "Digest":
        """Return the digest of the bytes that such a hash took."""
        return Digest(self.algorithm, hashed.hexdigest())

    def mismatch(self, found: "Digest") -> str | None:
        """Say how the bytes differ from what was declared, or None where they are the right ones."""
        return None if found == self else f"the bytes have the digest {found}, and not {self} as declared"
