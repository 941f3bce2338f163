"""What the API server says of others: whose token this is, and what somebody may do.

Answers are kept for a while, under a hash of the token and never the token itself. While the API server cannot answer, an
answer that is older may still count where the caller allows it; nobody gets in who was never let in. Made-up tokens
must not become a load: only so many reviews run at once.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.kube.resources import ACCESS_REVIEWS_PATH, TOKEN_REVIEWS_PATH

MAX_KEPT = 10_000
MAX_AT_ONCE = 16
Answer = TypeVar("Answer")


class Poster(Protocol):
    """The part of the API client that is used here."""

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post `body` and return the answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class User:
    """Who asks, as the API server knows them; `extra` are its own further attributes, sorted."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What somebody wants to do, in the words of RBAC."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class Kept(Generic[Answer]):
    """Answers by question: fresh for `keep_s`, and for `stale_s` where no new one can be had."""

    def __init__(self, clock: Clock, *, keep_s: float, stale_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._stale_s = stale_s
        self._answers: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()
        self._asking = asyncio.Semaphore(MAX_AT_ONCE)

    async def answer(self, question: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what is known, else what is found out.

        Raises:
            InnkeeperError: nothing is known, and asking failed.
        """
        known = self._answers.get(question)
        if known is not None and known[0] + self._keep_s > self._clock.monotonic():
            return known[1]
        try:
            async with self._asking:
                found = await ask()
        except InnkeeperError:
            if known is None or known[0] + self._stale_s < self._clock.monotonic():
                raise
            return known[1]
        self._answers[question] = (self._clock.monotonic(), found)
        self._answers.move_to_end(question)
        while len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)
        return found


class TokenReviews:
    """Whose token is it?"""

    def __init__(self, client: Poster, clock: Clock, *, keep_s: float = 60, stale_s: float = 60) -> None:
        self._client = client
        self._kept: Kept[User | None] = Kept(clock, keep_s=keep_s, stale_s=stale_s)

    async def user_of(self, token: str) -> User | None:
        """Return who holds a token, or None where the API server does not know it.

        Raises:
            ApiError: the API server could not be asked.
        """
        key = hashlib.sha256(token.encode()).digest()
        return await self._kept.answer(key, lambda: self._ask(token))

    async def _ask(self, token: str) -> User | None:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._client.post(TOKEN_REVIEWS_PATH, body)).get("status") or {}
        user = status.get("user") or {}
        if status.get("authenticated") is not True or not isinstance(user.get("username"), str):
            return None
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return User(
            name=user["username"],
            uid=user.get("uid") or "",
            groups=tuple(user.get("groups") or ()),
            extra=tuple(sorted(extra.items())),
        )


class AccessReviews:
    """May somebody do this?"""

    def __init__(self, client: Poster, clock: Clock, *, keep_s: float = 10, stale_s: float = 10) -> None:
        self._client = client
        self._kept: Kept[bool] = Kept(clock, keep_s=keep_s, stale_s=stale_s)

    async def allows(self, user: User, deed: Deed) -> bool:
        """Tell whether the API server's authorisers let somebody do something.

        Raises:
            ApiError: the API server could not be asked.
        """
        return await self._kept.answer((user, deed), lambda: self._ask(user, deed))

    async def _ask(self, user: User, deed: Deed) -> bool:
        wanted = {
            "verb": deed.verb,
            "group": deed.group,
            "resource": deed.resource,
            "subresource": deed.subresource,
            "namespace": deed.namespace,
            "name": deed.name,
        }
        spec: dict[str, Any] = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra},
            "resourceAttributes": {key: value for key, value in wanted.items() if value},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = (await self._client.post(ACCESS_REVIEWS_PATH, body)).get("status") or {}
        return status.get("allowed") is True and status.get("denied") is not True
