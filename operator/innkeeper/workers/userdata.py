"""User data that come from a Secret: copied into the host's namespace, never into a custom resource.

The order carries their digest, so a host uses what was signed and nothing else.
"""

import base64
import binascii
from collections.abc import Mapping

from innkeeper.domain import names
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.orders import digest_of
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, NotFoundError
from innkeeper.kube.resources import SECRETS
from innkeeper.state.subset import guest_id_of
from innkeeper.views.guest import Guest

LOOK_AGAIN_S = 20.0


class UserDataWorker:
    """Carries user data from the account's namespace to the host's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, guest: Guest) -> bytes | Blocked | None:
        """Return the bytes that a guest's Secret holds, None where it names none, or why they cannot be used."""
        name = guest.spec.user_data.secret_name if guest.spec.user_data else None
        if name is None:
            return None
        where = f"the Secret {guest.metadata.namespace}/{name}"
        try:
            secret = await self._client.get(SECRETS, name, namespace=guest.metadata.namespace)
            data = base64.b64decode(secret.data[names.USER_DATA_KEY], validate=True)
        except NotFoundError:
            return _blocked(GuestReason.USER_DATA_NOT_FOUND, f"{where} is not there: create it")
        except (KeyError, binascii.Error):
            message = f"{where} has no key {names.USER_DATA_KEY}: put the user data there"
            return _blocked(GuestReason.USER_DATA_NOT_FOUND, message)
        if len(data) > names.MAX_USER_DATA_BYTES:
            message = f"{where} holds {len(data)} bytes of user data; {names.MAX_USER_DATA_BYTES} are allowed"
            return _blocked(GuestReason.USER_DATA_TOO_LARGE, message)
        return data

    async def carry(self, guest: Guest, data: bytes, *, host: str) -> str:
        """Put the bytes beside the Assignment and return their digest."""
        namespace, guest_id = names.host_namespace(host), guest_id_of(guest)
        name = names.user_data_secret(guest_id)
        content = {names.USER_DATA_KEY: base64.b64encode(data).decode()}
        body: Mapping[str, object] = {
            "metadata": {"name": name, "labels": {names.GUEST_ID_LABEL: guest_id}},
            "data": content,
        }
        try:
            await self._client.create(SECRETS, body, namespace=namespace)
        except AlreadyExistsError:
            there = await self._client.get(SECRETS, name, namespace=namespace)
            if there.data != content:
                await self._client.patch(
                    SECRETS,
                    name,
                    {"data": content},
                    namespace=namespace,
                    resource_version=there.metadata.resource_version,
                )
        return digest_of(data)

    async def copied(self, guest_id: str, *, host: str) -> str | None:
        """Return the digest of the copy beside the Assignment, or None where there is none."""
        name = names.user_data_secret(guest_id)
        try:
            there = await self._client.get(SECRETS, name, namespace=names.host_namespace(host))
            return digest_of(base64.b64decode(there.data[names.USER_DATA_KEY], validate=True))
        except (NotFoundError, KeyError, binascii.Error):
            return None

    async def remove(self, guest_id: str, *, host: str) -> None:
        """Remove the copy beside the Assignment, where there is one."""
        try:
            await self._client.delete(
                SECRETS, names.user_data_secret(guest_id), namespace=names.host_namespace(host)
            )
        except NotFoundError:
            return


def _blocked(reason: GuestReason, message: str) -> Blocked:
    return Blocked(step=ConditionType.READY, reason=reason, message=message, again_after_s=LOOK_AGAIN_S)
