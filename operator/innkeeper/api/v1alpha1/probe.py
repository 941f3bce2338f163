"""When a guest counts as ready: what its host asks it, how often, and how many answers decide.

Without a probe a guest is Ready as soon as its machine runs.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.model import ApiModel, Rule

Seconds = Annotated[int, Field(ge=1, le=3600)]
Times = Annotated[int, Field(ge=1, le=100)]


class Ping(ApiModel):
    """Ask with an ICMP echo."""


class TcpProbe(ApiModel):
    """Ask by opening a TCP connection; nothing is sent over it."""

    port: Annotated[int, Field(ge=1, le=65535)]
    """The port."""


class GuestAgentProbe(ApiModel):
    """Ask the QEMU guest agent, which must run in the guest. No network is needed."""


class ReadinessProbe(ApiModel):
    """What decides that the guest is ready. Ping and tcp go to its first address, from its host."""

    rules: ClassVar = (
        Rule(
            "[has(self.ping), has(self.tcp), has(self.guestAgent)].exists_one(each, each)",
            "set exactly one of ping, tcp and guestAgent",
        ),
    )

    ping: Ping | None = None
    """It answers an ICMP echo."""
    tcp: TcpProbe | None = None
    """It takes a TCP connection."""
    guest_agent: GuestAgentProbe | None = None
    """Its QEMU guest agent answers."""
    initial_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """How long after its start it is asked first."""
    period_seconds: Seconds = 10
    """How long after one question the next one follows; a guest that is not ready is asked at least every two
    seconds."""
    timeout_seconds: Seconds = 1
    """How long an answer may take."""
    success_threshold: Times = 1
    """How many answers in a row make it ready."""
    failure_threshold: Times = 3
    """How many missing answers in a row make it not ready."""
