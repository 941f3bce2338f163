"""User data that came from a Secret, read beside the Assignment in the host's own namespace.

The order names its digest: what somebody else put into the Secret is not used.
"""

import base64
import binascii

from innkeeper.domain import names
from innkeeper.domain.orders import digest_of
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import SECRETS


class UserDataError(InnkeeperError):
    """The user data is not there as ordered."""

    reason = GuestReason.USER_DATA_NOT_FOUND


class SecretUserData:
    """Reads Secrets of one namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def user_data(self, secret: str, *, digest: str | None) -> bytes:
        """Return the bytes under `userData`.

        Raises:
            UserDataError: they are missing, too large, or not those of the order.
        """
        try:
            found = await self._client.get(SECRETS, secret, namespace=self._namespace)
        except NotFoundError as error:
            raise UserDataError(f"the Secret {secret} with the user data is not on this host yet") from error
        try:
            data = base64.b64decode(found.data[names.USER_DATA_KEY], validate=True)
        except (KeyError, ValueError, binascii.Error) as error:
            raise UserDataError(f"the Secret {secret} has no {names.USER_DATA_KEY}") from error
        if len(data) > names.MAX_USER_DATA_BYTES:
            raise UserDataError(
                f"the user data is longer than {names.MAX_USER_DATA_BYTES} bytes",
                reason=GuestReason.USER_DATA_TOO_LARGE,
            )
        if digest is None or digest_of(data) != digest:
            raise UserDataError(f"the user data in the Secret {secret} is not what the order was signed for")
        return data
