"""What a host tells of the usage of its guests: how much processor and memory each machine takes now.

The wire form is JSON, between an agent's host API and the operator. It is read when somebody asks and kept nowhere.
"""

from typing import Annotated

from msgspec import Meta

from innkeeper.domain.host_store import Message


class GuestUsage(Message, frozen=True):
    """One guest whose machine lives."""

    guest_id: str
    cpu_millis: Annotated[int, Meta(ge=0)]  # thousandths of a processor, on average over the window
    memory_bytes: Annotated[int, Meta(ge=0)]  # of the host's memory that its machine holds


class HostUsage(Message, frozen=True):
    """All guests of one host whose machines live, from two readings `window_s` seconds apart."""

    host: str
    at: str  # of the second reading, RFC 3339, by the host's clock
    window_s: float
    guests: list[GuestUsage]
