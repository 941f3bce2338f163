"""Tokens of service accounts: how one is asked for, and what one says of itself.

What a token says is read without checking its signature: it serves to know when to renew it, never to trust anybody.
"""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import msgspec

from innkeeper.domain import names
from innkeeper.errors import TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import MAX_TOKEN_BYTES

_PARTS = 3  # header, claims, signature


@dataclass(frozen=True)
class BoundTo:
    """What a token ends with: `Secret` (of the account's namespace) or `Node`, by name and, where known, uid."""

    kind: str
    name: str
    uid: str | None = None

    def reference(self) -> dict[str, str]:
        """Return it as a TokenRequest has it."""
        found = {"apiVersion": "v1", "kind": self.kind, "name": self.name}
        return found if self.uid is None else found | {"uid": self.uid}


class _Subject(msgspec.Struct):
    name: str
    uid: str = ""


class _Kubernetes(msgspec.Struct):
    namespace: str = ""
    serviceaccount: _Subject | None = None
    secret: _Subject | None = None


class _Claims(msgspec.Struct):
    exp: float
    iat: float
    kubernetes: _Kubernetes = msgspec.field(name="kubernetes.io", default_factory=_Kubernetes)


@dataclass(frozen=True, kw_only=True)
class Token:
    """A service account's token, and what it says of itself."""

    value: str = field(repr=False)
    issued: datetime
    expires: datetime
    namespace: str = ""
    account: str = ""
    secret: BoundTo | None = None
    """The Secret that it ends with."""

    @classmethod
    def read(cls, value: str) -> Self:
        """Return what a token says.

        Raises:
            TokenUnreadableError: it is no token of a service account with an end.
        """
        claims = _claims(value)
        told = claims.kubernetes
        try:
            issued, expires = (datetime.fromtimestamp(each, UTC) for each in (claims.iat, claims.exp))
        except (OverflowError, ValueError, OSError) as error:
            raise TokenUnreadableError("the token's times are none") from error
        return cls(
            value=value,
            issued=issued,
            expires=expires,
            namespace=told.namespace,
            account=told.serviceaccount.name if told.serviceaccount else "",
            secret=BoundTo("Secret", told.secret.name, told.secret.uid) if told.secret else None,
        )

    def after(self, share: float) -> datetime:
        """Return when so much of its life is over; `share` is from 0 to 1."""
        return self.issued + (self.expires - self.issued) * share


class TokenUnreadableError(TerminalError):
    """A text is no token of a service account."""

    reason = "TokenUnreadable"


async def ask(client: Client, *, host: str, bound_to: BoundTo, lifetime_s: int) -> Token:
    """Ask for a token of the agent of `host`. The API server may give it a shorter life, at its own discretion.

    Raises:
        ApiError: NotFoundError where the host's account, or what the token is to be bound to, is not there;
            ForbiddenError where a right or a policy is against it.
        TokenUnreadableError: the answer holds no token.
    """
    path = (
        f"/api/v1/namespaces/{names.host_namespace(host)}/serviceaccounts/{names.AGENT_SERVICE_ACCOUNT}/token"
    )
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": lifetime_s, "boundObjectRef": bound_to.reference()},
    }
    status = (await client.post(path, body)).get("status")
    value = status.get("token") if isinstance(status, dict) else None
    if not isinstance(value, str):
        raise TokenUnreadableError("the API server answered without a token", retryable=True)
    return Token.read(value)


def _claims(value: str) -> _Claims:
    parts = value.split(".")
    if len(value) > MAX_TOKEN_BYTES or len(parts) != _PARTS:
        raise TokenUnreadableError("this is no token of a service account")
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(body, type=_Claims)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise TokenUnreadableError("this is no token of a service account that ends") from error
