"""Keeps a host's token good: it asks for the next one long before the present one ends.

It goes on trying with growing pauses, also when the token is over: an API server that was away that long may be back,
and a person may have put a new token in the file. A token that is not ours to renew is left to who made it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from innkeeper.agent.joining import files
from innkeeper.agent.joining.sources import TokenSource
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import names
from innkeeper.errors import InnkeeperError
from innkeeper.kube.credentials import MAX_TOKEN_BYTES
from innkeeper.kube.tokens import Token, TokenUnreadableError
from innkeeper.telemetry import families

log = structlog.get_logger(__name__)

RENEWED_AFTER = 1 / 3
"""The share of its life after which a token is renewed: the rest is how long the API server may be away."""
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
LOOK_EVERY_S = 60.0
"""A new token may be put there by a person, and the wall clock may be set. Nor is it renewed oftener than this: where
the clock is far ahead of the API server's, each new token looks old at once."""


class TokenFigures:
    """Metrics of the host's token."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._expires = families.AGENT_TOKEN_EXPIRES.on(registry)
        self._due = families.AGENT_TOKEN_RENEWAL_DUE.on(registry)
        self.renewals = families.AGENT_TOKEN_RENEWALS.on(registry)

    def tell(self, token: Token | None, *, is_ours: bool) -> None:
        """Tell when the present token ends and when it is to be renewed, which is never for one that is not ours."""
        self._expires.set(token.expires.timestamp() if token else 0)
        self._due.set(token.after(RENEWED_AFTER).timestamp() if token and is_ours else 0)


def is_own(token: Token | None) -> bool:
    """Tell whether a host may renew this token by itself: it came from a join token."""
    return token is not None and token.secret is not None and token.secret.name == names.AGENT_JOIN_SECRET


def in_file(path: Path) -> Token | None:
    """Return the token of a file; None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return Token.read(file.read(MAX_TOKEN_BYTES).decode().strip())
    except (OSError, ValueError, TokenUnreadableError):
        return None


class TokenRotation:
    """Renews the token of one file; `at_once` where the one that is there may be no longer good, whatever it says."""

    def __init__(
        self,
        path: Path,
        source: TokenSource,
        *,
        clock: Clock,
        figures: TokenFigures,
        is_ours: Callable[[Token | None], bool] = is_own,
        at_once: bool = False,
    ) -> None:
        self._path = path
        self._source = source
        self._clock = clock
        self._figures = figures
        self._is_ours = is_ours
        self._at_once = at_once
        self._failures = 0
        self._told: datetime | None = None  # the end of the token that was told as over
        self._renewed = "", 0.0  # the token that we got last, and when it is due by the time that passed
        self._left_alone: str | None = None  # why it is, as it was told

    async def run(self) -> None:
        """Renew for ever."""
        while True:
            await self._clock.sleep(await self.step())

    async def step(self) -> float:
        """Renew the token if it is time; return for how many seconds nothing needs to be done."""
        token = in_file(self._path)
        is_ours = self._is_ours(token)
        self._figures.tell(token, is_ours=is_ours)
        if not is_ours:
            self._leave_alone(token)
            return LOOK_EVERY_S
        self._left_alone = None
        if token is not None and not self._at_once and (due_s := self._due_in_s(token)) > 0:
            return min(LOOK_EVERY_S, due_s)
        try:
            renewed = await self._source.ask()
            # Synced to a disk that guests may keep busy: heartbeats go on meanwhile.
            await asyncio.to_thread(files.write_private, self._path, renewed.value)
        except InnkeeperError as error:
            return self._failed(token, error)
        self._failures = 0
        self._at_once = False
        life_s = (renewed.expires - renewed.issued).total_seconds()
        self._renewed = renewed.value, self._clock.monotonic() + life_s * RENEWED_AFTER
        self._figures.renewals.labels("Renewed").inc()
        self._figures.tell(renewed, is_ours=True)
        log.info("token_renewed", expires=rfc3339(renewed.expires))
        return LOOK_EVERY_S

    def _due_in_s(self, token: Token) -> float:
        """Return in how many seconds it is to be renewed: a wall clock that is behind must not have it end before."""
        due_s = (token.after(RENEWED_AFTER) - self._clock.now()).total_seconds()
        value, at = self._renewed
        return min(due_s, at - self._clock.monotonic()) if token.value == value else due_s

    def _failed(self, token: Token | None, error: InnkeeperError) -> float:
        self._figures.renewals.labels(error.reason).inc()
        expires = None if token is None else rfc3339(token.expires)
        log.warning("token_not_renewed", reason=error.reason, message=error.message, expires=expires)
        if token is not None and token.expires <= self._clock.now() and self._told != token.expires:
            self._told = token.expires
            log.error("token_over", expires=expires, message=f"guests run on; {self._source.when_over}")
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * float(1 << min(self._failures, 16)))
        self._failures += 1
        return pause

    def _leave_alone(self, token: Token | None) -> None:
        why = "this token did not come from a join: who made it renews it"
        if token is None:
            why = f"{self._path} holds no token that can be read; {self._source.when_over}"
        if why != self._left_alone:
            self._left_alone = why
            tell = log.info if token is not None else log.warning
            tell("token_left_alone", message=why)
