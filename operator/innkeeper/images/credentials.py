"""Credentials of image sources, from Secrets beside their Images.

Only a Secret of the type `innkeeper.dev/image-source` counts, and only for the origin that it names itself: who may
create Images but read no Secrets cannot have one sent to an origin of their own. A Secret is read when it is used and
kept for seconds, so that a new password is taken up soon. No value of a Secret ever stands in a message.
"""

import base64
import binascii
import re

from yarl import URL

from innkeeper.clock import Clock
from innkeeper.images.access import Getter
from innkeeper.images.sources.credential import Credential, CredentialsError, Origin
from innkeeper.kube.errors import ApiError, ForbiddenError, NotFoundError
from innkeeper.kube.resources import SECRETS
from innkeeper.kube.reviews import Kept
from innkeeper.kube.views import Secret

SECRET_TYPE = "innkeeper.dev/image-source"  # noqa: S105 - the type of a Secret, not a secret
SECRETS_ROLE = "innkeeper-images-secrets"
KEEP_S = 5.0
MAX_VALUE_BYTES = 4096  # web servers take no longer headers
_KEYS = ("origin", "username", "password", "token")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, b64token
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Credentials:
    """Reads Secrets for the sources of Images."""

    def __init__(self, client: Getter, *, clock: Clock, keep_s: float = KEEP_S) -> None:
        self._client = client
        self._kept: Kept[Credential | str] = Kept(clock, keep_s=keep_s, stale_s=keep_s)

    async def of(self, namespace: str, name: str) -> Credential:
        """Return what a Secret holds.

        Raises:
            CredentialsError: it is not there, is no Secret for this, is damaged, or cannot be read now.
        """
        found = await self._kept.answer((namespace, name), lambda: self._read(namespace, name))
        if isinstance(found, str):
            raise CredentialsError(found)
        return found

    async def _read(self, namespace: str, name: str) -> Credential | str:
        """Return the credential, or what is wrong with the Secret; both are kept."""
        where = f"the Secret {namespace}/{name}"
        try:
            return credential_of(await self._client.get(SECRETS, name, namespace=namespace), where)
        except NotFoundError:
            return f"{where} is not there: create it, with the type {SECRET_TYPE}"
        except ForbiddenError:
            return (
                f"the image server may not read {where}: bind the ClusterRole {SECRETS_ROLE} in {namespace}"
            )
        except ApiError as error:
            raise CredentialsError(f"{where} cannot be read now ({error.reason})") from error
        except CredentialsError as error:
            return error.message


def credential_of(secret: Secret, where: str) -> Credential:
    """Return what a Secret holds; messages call it `where`.

    Raises:
        CredentialsError: it is of another type, or its content is not what such a Secret must hold.
    """
    if secret.type != SECRET_TYPE:
        raise CredentialsError(f"{where} is not of the type {SECRET_TYPE}: create it anew with that type")
    values = {
        key: _value(secret.data[key], f"{where}: its key `{key}`") for key in _KEYS if key in secret.data
    }
    origin = _origin(values.pop("origin", ""), where)
    return Credential(where, origin, _authorization(values, where))


def _value(encoded: str, what: str) -> str:
    if len(encoded) > MAX_VALUE_BYTES * 4 // 3 + 4:
        raise CredentialsError(f"{what} is longer than {MAX_VALUE_BYTES} bytes: shorten it")
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeError):
        # Without its cause: that one holds the bytes.
        raise CredentialsError(f"{what} is no UTF-8 text: mend it") from None
    text = text.rstrip("\r\n")  # what is read from a file often ends with a line feed
    if _CONTROL.search(text):
        raise CredentialsError(f"{what} holds control characters: mend it")
    return text


def _origin(text: str, where: str) -> Origin:
    form = f"{where}: its key `origin` must be scheme, host and, where needed, port, as https://images.example.com:8443"
    try:
        url = URL(text)
        plain = url.scheme in {"http", "https"} and url.raw_host and url.raw_path == "/"
        more = url.query_string or url.fragment or url.raw_user or url.raw_password
        found = Origin.of(url)
    except ValueError:
        raise CredentialsError(form) from None
    if not plain or more:
        raise CredentialsError(form)
    return found


def _authorization(values: dict[str, str], where: str) -> str:
    """Return the header: Basic (RFC 7617) or Bearer (RFC 6750)."""
    if set(values) == {"token"} and _TOKEN.fullmatch(values["token"]):
        return f"Bearer {values['token']}"
    if set(values) == {"username", "password"} and values["username"] and ":" not in values["username"]:
        pair = f"{values['username']}:{values['password']}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
    raise CredentialsError(
        f"{where} needs either `token`, a bearer token, or `username` (without a colon) and `password`: mend it"
    )
