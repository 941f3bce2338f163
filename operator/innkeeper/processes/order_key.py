"""The key that orders are signed with: from a file where the user wants it outside, else from a Secret made once.

Who finds no Secret creates one; when two do so at once, the API server lets one win and both read the same key.
"""

import base64
import binascii
import secrets
from pathlib import Path

import structlog

from innkeeper.domain.orders import Signer
from innkeeper.errors import TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, NotFoundError
from innkeeper.kube.resources import SECRETS
from innkeeper.kube.views import Secret
from innkeeper.views.host import OrderKey

log = structlog.get_logger(__name__)

SECRET_NAME = "innkeeper-order-key"  # noqa: S105 - the name of an object
SECRET_FIELD = "privateKey"  # noqa: S105 - the name of a field
KEY_BYTES = 32


class OrderKeyError(TerminalError):
    """There is a key, but not one that can sign."""

    reason = "OrderKeyInvalid"


async def load_signer(client: Client, *, namespace: str, file: Path | None) -> Signer:
    """Return the signer, with a key that was made now if there was none.

    Raises:
        OrderKeyError: the key is not 32 bytes.
        ApiError: the API server refused, or is away.
    """
    if file is not None:
        return Signer(_from_file(file))
    try:
        secret = await client.get(SECRETS, SECRET_NAME, namespace=namespace)
    except NotFoundError:
        secret = await _create(client, namespace)
    return Signer(_decoded(secret.data.get(SECRET_FIELD, ""), where=f"the Secret {namespace}/{SECRET_NAME}"))


def order_keys(signer: Signer) -> list[OrderKey]:
    """Return what hosts are told of the key."""
    return [OrderKey(id=signer.key_id, public_key=base64.b64encode(signer.public_key).decode())]


async def _create(client: Client, namespace: str) -> Secret:
    value = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    body = {"metadata": {"name": SECRET_NAME}, "type": "Opaque", "data": {SECRET_FIELD: value}}
    try:
        secret = await client.create(SECRETS, body, namespace=namespace)
    except AlreadyExistsError:
        return await client.get(SECRETS, SECRET_NAME, namespace=namespace)
    # Hosts that trust an older key take no order of this one: the line tells why.
    log.warning("order_key_made", secret=f"{namespace}/{SECRET_NAME}")
    return secret


def _from_file(file: Path) -> bytes:
    try:
        content = file.read_bytes()[:1024]
    except OSError as error:
        raise OrderKeyError(f"the order key cannot be read: {error}") from error
    if len(content) == KEY_BYTES:
        return content
    return _decoded(content.decode(errors="replace"), where=str(file))


def _decoded(text: str, *, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise OrderKeyError(f"{where} holds no order key: {KEY_BYTES} bytes, as base64, are expected")
    return key
