"""Who asks: told by the API server that passes the request on, by a client certificate, or by a bearer token.

What a request says of its user counts only on a connection with the front proxy's own certificate; from anybody else
those headers mean nothing. What somebody may do is not decided here.
"""

from urllib.parse import unquote

from aiohttp import web
from cryptography import x509

from innkeeper.errors import InnkeeperError
from innkeeper.kube.reviews import TokenReviews, User
from innkeeper.query.limits import Limit
from innkeeper.query.trust import Trust, common_name, organizations

AUTHENTICATED = "system:authenticated"
MAX_TOKEN = 16 * 1024
# How many tokens are looked at; who shows a certificate never waits for them.
MAX_TOKENS_AT_ONCE = 64
_EXTRA = "x-remote-extra-"


class UnauthenticatedError(InnkeeperError):
    """Nobody vouches for the caller."""

    reason = "Unauthorized"
    retryable = False


class Callers:
    """Finds out who asks."""

    def __init__(self, trust: Trust, tokens: TokenReviews) -> None:
        self.trust = trust
        self._tokens = tokens
        self._limit = Limit(most=MAX_TOKENS_AT_ONCE, most_of_one=MAX_TOKENS_AT_ONCE)

    async def user_of(self, request: web.Request) -> User:
        """Return who asks.

        Raises:
            UnauthenticatedError: nobody vouches for the caller.
            ApiError: a token could not be looked at.
            RefusedError: too many tokens are being looked at.
        """
        certificate = _certificate(request)
        if certificate is not None and self.trust.is_front_proxy(certificate):
            return _told(request)
        if certificate is not None and self.trust.is_client(certificate):
            groups = (*organizations(certificate), AUTHENTICATED)
            return User(name=common_name(certificate), groups=groups)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN or not token.isascii():
            raise UnauthenticatedError(
                "send a bearer token, a client certificate, or ask through the API server"
            )
        # Whose they are is what is being asked: they count as of one user.
        with self._limit.one_of(""):
            user = await self._tokens.user_of(token)
        if user is None:
            raise UnauthenticatedError("the API server does not accept this token; renew it")
        return user


def _certificate(request: web.Request) -> x509.Certificate | None:
    transport = request.transport
    secure = transport.get_extra_info("ssl_object") if transport is not None else None
    found = secure.getpeercert(binary_form=True) if secure is not None else None
    return x509.load_der_x509_certificate(found) if found else None


def _told(request: web.Request) -> User:
    name = request.headers.get("X-Remote-User", "")
    if not name:
        raise UnauthenticatedError("the front proxy names no user")
    extra: dict[str, tuple[str, ...]] = {}
    for header in {each.lower() for each in request.headers if each.lower().startswith(_EXTRA)}:
        key = unquote(header.removeprefix(_EXTRA))
        extra[key] = tuple(request.headers.getall(header))
    return User(
        name=name,
        uid=request.headers.get("X-Remote-Uid", ""),
        groups=tuple(request.headers.getall("X-Remote-Group", ())),
        extra=tuple(sorted(extra.items())),
    )
