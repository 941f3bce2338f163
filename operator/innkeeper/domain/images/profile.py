"""The boot profile of an image: its chunks in the order in which guests first read them.

It only says what is fetched first, so nothing depends on its truth; its size is bounded. Pure.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from innkeeper.errors import TerminalError

MAX_CHUNKS = 16 * 1024
MAX_BYTES = 256 * 1024  # of an encoded profile
BOOTS = 3  # so many boots are learnt from

_Index = Annotated[int, Meta(ge=0, le=2**32)]


class ProfileInvalidError(TerminalError):
    """The profile is none."""

    reason = "ProfileInvalid"


class Profile(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The chunks, and how many boots they were learnt from."""

    chunks: Annotated[list[_Index], Meta(max_length=MAX_CHUNKS)]
    boots: Annotated[int, Meta(ge=1)] = 1

    def learn(self, other: "Profile") -> "Profile":
        """Return what is known after one more boot: what only it read comes last."""
        if self.boots >= BOOTS:
            return self
        known = set(self.chunks)
        chunks = [*self.chunks, *(each for each in other.chunks if each not in known)]
        return Profile(chunks=chunks[:MAX_CHUNKS], boots=self.boots + 1)


def encode(order: Sequence[int], *, boots: int = 1) -> bytes:
    """Return a profile as it is kept and sent."""
    return msgspec.json.encode(Profile(chunks=list(order[:MAX_CHUNKS]), boots=boots))


def decode(encoded: bytes) -> Profile:
    """Return a profile.

    Raises:
        ProfileInvalidError: it is none.
    """
    try:
        found = msgspec.json.decode(encoded, type=Profile)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ProfileInvalidError(f"the boot profile cannot be read: {error}") from error
    return Profile(chunks=list(dict.fromkeys(found.chunks)), boots=found.boots)


def read(encoded: bytes) -> Sequence[int]:
    """Return the order of a profile.

    Raises:
        ProfileInvalidError: it is none.
    """
    return decode(encoded).chunks
