"""Faults of the fake API server on demand, and the log of what it was asked.

A pattern names calls as `VERB RESOURCE[/SUBRESOURCE] [NAMESPACE/]NAME`, with shell wildcards: `patch guests/status *`,
`create ipaddresses *`, `list *`. A fault counts down and is gone; what it met is in the log.
"""

import asyncio
import fnmatch
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.kit.fake_api_documents import RefusedError

WRITES = ("create", "patch", "update", "delete")

_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class CutError(Exception):
    """The connection is to be cut with no answer; `on_write` may raise it, before or after the write."""


@dataclass(kw_only=True)
class Call:
    """One request. `status` is the answer's, or 0 while there is none and when the connection was cut."""

    verb: str  # get, list, watch, create, patch, update, delete
    resource: str  # the plural
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user: str = ""
    status: int = 0

    @property
    def is_write(self) -> bool:
        """Whether it would change something: reviews and token requests are posted, but store nothing."""
        asks = self.resource.endswith("reviews") or self.subresource == "token"
        return self.verb in WRITES and not asks

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.verb} {resource} {name}"

    def matches(self, pattern: str) -> bool:
        """Tell whether a pattern names this call; the end of a pattern may be left out."""
        return fnmatch.fnmatchcase(str(self), pattern) or fnmatch.fnmatchcase(str(self), f"{pattern} *")


@dataclass(kw_only=True)
class Fault:
    """One trouble for calls that match."""

    pattern: str
    times: int | None  # None: until it is removed
    status: int = 0
    seconds: float = 0
    after: bool = False  # the call is carried out, and only its answer is lost
    retry_after_s: int | None = None
    gate: asyncio.Event | None = None
    met: list[Call] = field(default_factory=list)

    def meets(self, call: Call, *, after: bool) -> bool:
        """Tell whether it strikes this call now, and count it."""
        if self.after is not after or self.times == len(self.met) or not call.matches(self.pattern):
            return False
        self.met.append(call)
        return True


class Faults:
    """What goes wrong, as the test wishes."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.silent = False  # watches stay open, but neither event nor bookmark comes
        self.cache_rests = (
            False  # of a kind that nobody writes or lists no bookmarks come, as on the real one
        )
        self._held_watches: list[tuple[str, str]] = []
        self.watch_drops = asyncio.Event()  # set, and replaced, when open watches are to end
        self.expired_pages = 0

    def fail(
        self,
        pattern: str,
        *,
        status: int,
        times: int | None = 1,
        after: bool = False,
        retry_after_s: int | None = None,
    ) -> Fault:
        """Refuse calls with a status; with `after` they are carried out first, so the caller is told wrongly."""
        return self._add(
            Fault(pattern=pattern, times=times, status=status, after=after, retry_after_s=retry_after_s)
        )

    def cut(self, pattern: str, *, times: int | None = 1, after: bool = False) -> Fault:
        """Cut the connection with no answer, before or after the call is carried out."""
        return self._add(Fault(pattern=pattern, times=times, after=after))

    def delay(self, pattern: str, seconds: float, *, times: int | None = 1) -> Fault:
        """Carry calls out late."""
        return self._add(Fault(pattern=pattern, times=times, seconds=seconds))

    def hold(self, pattern: str, *, times: int | None = 1) -> Fault:
        """Hold calls until the test sets the fault's `gate`."""
        return self._add(Fault(pattern=pattern, times=times, gate=asyncio.Event()))

    def hold_watch(self, resource: str, *, user: str) -> None:
        """Keep what happens to a resource from one user until all is cleared: its view grows old."""
        self._held_watches.append((resource, user))

    def is_held(self, watch: Call) -> bool:
        """Tell whether nothing is said on a watch for now."""
        return self.silent or (watch.resource, watch.user) in self._held_watches

    def drop_watch(self) -> None:
        """Cut all open watches."""
        self.watch_drops.set()
        self.watch_drops = asyncio.Event()

    def expire_pages(self, times: int = 1) -> None:
        """Answer the next continued lists with 410."""
        self.expired_pages = times

    def clear(self) -> None:
        """Let all be well again."""
        self.faults.clear()
        self.silent = self.cache_rests = False
        self._held_watches.clear()
        self.expired_pages = 0

    def _add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    async def strike(self, call: Call, *, after: bool = False) -> None:
        """Do to a call what the test wishes.

        Raises:
            RefusedError: it is to be refused.
            CutError: its connection is to be cut.
        """
        for fault in self.faults:
            if not fault.meets(call, after=after):
                continue
            if fault.gate is not None:
                await fault.gate.wait()
            elif fault.seconds:
                await asyncio.sleep(fault.seconds)  # the fault itself: a slow answer
            elif fault.status:
                reason = _REASONS.get(fault.status, "InternalError")
                message = f"{reason} on demand"
                raise RefusedError(fault.status, reason, message, retry_after_s=fault.retry_after_s)
            else:
                raise CutError


Hook = Callable[[Call, str], Awaitable[None] | None]
