"""What is asked of one host's agent. Its answers are what the host says of itself: signatures are the reader's part."""

from typing import Protocol

from innkeeper.domain.host_store import GAP, Events, Snapshot
from innkeeper.errors import InnkeeperError


class HostUnreadError(InnkeeperError):
    """The agent does not answer, answers nonsense, or its certificate is not that host's; later it may be otherwise."""

    reason = "HostUnread"


class GapError(HostUnreadError):
    """The host's log cannot go on from that cursor, or the store is another one: read a snapshot."""

    reason = GAP


class HostReader(Protocol):
    """One host's agent."""

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Return one page of all that the store holds: the Guest IDs behind `after`.

        Raises:
            HostUnreadError: there is no answer that can be used.
        """
        ...

    async def events(self, *, store_id: str, since: int) -> Events:
        """Return what changed since a cursor.

        Raises:
            GapError: a snapshot is needed.
            HostUnreadError: there is no answer that can be used.
        """
        ...
