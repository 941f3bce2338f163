"""What a host tells of its store: all that it holds, or what changed since a cursor.

A host's store is the canonical record of its guests; who reads it checks each order's signature and never trusts the
plain fields beside it. An entry is always the newest state, so one that is told twice does no harm. The wire form is
JSON. A cursor is the store's own ID and a line's number in its change log: another ID, or a number that the log does not
reach, is a gap, and everything is read again.
"""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from innkeeper.views.host import HostAgentSpec

KEPT_STEPS = 50  # of each guest; the older ones go
PAGE = 500  # entries of one answer at most
MAX_ANSWER_BYTES = 64 * 1024**2
GAP = "Gap"  # the reason of an answer (410) to a cursor that the log cannot go on from

Seq = Annotated[int, Meta(ge=0)]


class Message(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Settings that all messages share; a field of a later version is passed over."""


class Step(Message, frozen=True):
    """One step of a guest's history; `at` is RFC 3339.

    `number` counts the steps of all guests of a store in the order in which they were kept; an older agent tells none.
    """

    at: str
    reason: str
    message: str = ""
    number: Seq = 0


class WishEntry(Message, frozen=True):
    """What a person at the host wants of a guest, Running or Stopped, who it was, and when (RFC 3339)."""

    power: str
    by: str
    at: str


class GuestEntry(Message, frozen=True):
    """One guest that the host holds, or refused: the order and what became of it.

    The order is as it was signed; of a refused one some of it is left, which nobody signed.
    """

    guest_id: str
    order: str
    outcome: str  # Accepted or Refused
    life: str
    ready: bool
    reason: str
    message: str = ""
    changed_at: str = ""
    accepted_at: str = ""  # RFC 3339: when the host promised to run it; an older agent does not tell
    history: list[Step] = []  # the oldest first, bounded
    wish: WishEntry | None = None  # of a person at the host; an older agent does not tell


def held_since(entry: GuestEntry) -> str | None:
    """Return since when a guest has been the host's, in the form of `metav1.Time`; None where that is no time.

    A host's word alone: it is shown to people, and nothing is decided by it.
    """
    try:
        moment = datetime.fromisoformat(entry.accepted_at)
        return None if moment.tzinfo is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None


class TombstoneEntry(Message, frozen=True):
    """A guest that was destroyed here, or that a person took off this host.

    `order` is the signed order to destroy it, where the store still has it. The files of a forgotten guest were set
    aside, also where such an order came later.
    """

    guest_id: str
    epoch: int
    serial: int
    destroyed_at: str
    order: str | None = None
    forgotten: str = ""  # by whom and when a person took it off; an older agent does not tell


class Change(Message, frozen=True):
    """One line of the change log."""

    seq: int
    guest_id: str
    what: str
    at: str


class Snapshot(Message, frozen=True):
    """One page of all that a store holds, by Guest ID.

    `seq` is the log's end when this page was read. Changes between two pages are found by asking for the events since
    the first page's `seq`.
    """

    host: str
    store_id: str
    seq: Seq
    settings: HostAgentSpec | None = None  # the host's own orders as it last saw them
    guests: list[GuestEntry] = []
    tombstones: list[TombstoneEntry] = []
    next_after: str | None = None  # ask again with `after` set to this; None: that was the last page


class Events(Message, frozen=True):
    """What changed since a cursor: the lines of the log, and the newest state of each guest that they name."""

    host: str
    store_id: str
    since: Seq
    seq: Seq  # the last line told here; ask again from it
    has_more: bool = False
    changes: list[Change] = []
    guests: list[GuestEntry] = []
    tombstones: list[TombstoneEntry] = []
