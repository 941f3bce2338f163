"""What is said over the agent's socket: one line of JSON each way, then the connection ends."""

from enum import StrEnum

import msgspec

MAX_QUESTION_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 16 * 1024**2
DEADLINE_S = 10.0  # for a question to arrive
ANSWER_DEADLINE_S = 60.0


class Verb(StrEnum):
    """What can be asked for."""

    LIST = "list"
    START = "start"
    STOP = "stop"
    FORGET = "forget"


class Question(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What somebody wants: `guest` is a Guest ID or NAMESPACE/NAME, `by` who asks."""

    verb: Verb
    guest: str = ""
    by: str = ""


class GuestLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One guest as the host holds it."""

    guest_id: str
    namespace: str
    name: str
    outcome: str
    desired: str  # by its order
    machine: str | None  # what the hypervisor says; None: it knows none, or nobody asked it
    ready: bool
    reason: str
    message: str
    epoch: int
    serial: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of it; `error` is set where nothing did."""

    guests: list[GuestLine] = []
    said: str = ""
    error: str | None = None
