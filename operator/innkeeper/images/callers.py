"""Who is calling: bearer tokens, looked at by the API server.

Each answer of a TokenReview is kept for a minute, so that a token that was revoked stops working soon. This module
decides who somebody is, never what they may read.
"""

from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.errors import InnkeeperError
from innkeeper.kube.reviews import Poster, TokenReviews

MAX_TOKEN = 16 * 1024


class UnauthenticatedError(InnkeeperError):
    """There is no token, or the API server does not know it."""

    reason = "Unauthenticated"
    retryable = False


class NotAllowedError(InnkeeperError):
    """The caller is known, but not one who may ask this."""

    reason = "NotAllowed"
    retryable = False


class Callers:
    """Turns the `Authorization` header of a request into a user name."""

    def __init__(self, client: Poster, *, clock: Clock, keep_s: float = 60) -> None:
        self._reviews = TokenReviews(client, clock, keep_s=keep_s, stale_s=keep_s)

    async def user_of(self, authorization: str | None) -> str:
        """Return the caller's user name.

        Raises:
            UnauthenticatedError: no token, or one that the API server refuses.
        """
        user = await self._reviews.user_of(_token(authorization))
        if user is None:
            raise UnauthenticatedError("the API server does not accept this token; renew it")
        return user.name


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
