"""Who is calling: bearer tokens, looked at by the API server.

Each answer of a TokenReview is kept for a minute under the token's hash, so that a token that was revoked stops
working soon and the token itself is never kept. This module decides who somebody is, never what they may read.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.errors import InnkeeperError
from innkeeper.kube.resources import TOKEN_REVIEWS_PATH

MAX_TOKEN = 16 * 1024
MAX_KEPT = 10_000
MAX_REVIEWS_AT_ONCE = 16  # made-up tokens must not become a load on the API server


class UnauthenticatedError(InnkeeperError):
    """There is no token, or the API server does not know it."""

    reason = "Unauthenticated"
    retryable = False


class NotAllowedError(InnkeeperError):
    """The caller is known, but not one who may ask this."""

    reason = "NotAllowed"
    retryable = False


class Poster(Protocol):
    """The part of the API client that is used here."""

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post `body` and return the answer."""
        ...


@dataclass(frozen=True)
class _Kept:
    user: str | None
    until: float


class Callers:
    """Turns the `Authorization` header of a request into a user name."""

    def __init__(self, client: Poster, *, clock: Clock, keep_s: float = 60) -> None:
        self._client = client
        self._clock = clock
        self._keep_s = keep_s
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._reviews = asyncio.Semaphore(MAX_REVIEWS_AT_ONCE)

    async def user_of(self, authorization: str | None) -> str:
        """Return the caller's user name.

        Raises:
            UnauthenticatedError: no token, or one that the API server refuses.
        """
        token = _token(authorization)
        key = hashlib.sha256(token.encode()).digest()
        user = await self._reviewed(key, token)
        if user is None:
            raise UnauthenticatedError("the API server does not accept this token; renew it")
        return user

    async def _reviewed(self, key: bytes, token: str) -> str | None:
        kept = self._kept.get(key)
        if kept is not None and kept.until > self._clock.monotonic():
            return kept.user
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        async with self._reviews:
            status = (await self._client.post(TOKEN_REVIEWS_PATH, body)).get("status") or {}
        user = (status.get("user") or {}).get("username") if status.get("authenticated") is True else None
        self._keep(key, user)
        return user if isinstance(user, str) else None

    def _keep(self, key: bytes, user: str | None) -> None:
        self._kept[key] = _Kept(user, self._clock.monotonic() + self._keep_s)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)


def host_of_agent(user: str) -> str:
    """Return the host whose agent `user` is.

    Raises:
        NotAllowedError: it is no host's agent.
    """
    prefix, _, rest = user.partition("system:serviceaccount:")
    namespace, _, account = rest.partition(":")
    host = names.host_of_namespace(namespace)
    if prefix or not host or account != names.AGENT_SERVICE_ACCOUNT:
        raise NotAllowedError("only the agent of a host may ask for a URL")
    return host


def _token(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN or not token.isascii():
        raise UnauthenticatedError("send the service account's token: `Authorization: Bearer TOKEN`")
    return token
