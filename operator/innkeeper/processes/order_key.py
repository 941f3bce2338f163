"""The keys that orders are signed with: from files where the user wants them outside, else from a Secret made once.

There is a current key, which signs, and while keys change the previous one, which endorses the current key so that hosts
trust it. Who finds no Secret creates one, unless hosts obey a key already; when two create it at once, the API server
lets one win and both read the same key.
"""

import base64
import binascii
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from innkeeper.domain.orders import Signer
from innkeeper.errors import TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, NotFoundError
from innkeeper.kube.resources import SECRETS
from innkeeper.kube.views import Secret
from innkeeper.settings import OperatorSettings
from innkeeper.state.subset import Subset
from innkeeper.views.host import OrderKey

log = structlog.get_logger(__name__)

SECRET_NAME = "innkeeper-order-key"  # noqa: S105 - the name of an object
SECRET_FIELD = "privateKey"  # noqa: S105 - the name of a field
PREVIOUS_FIELD = "previousPrivateKey"
KEY_BYTES = 32


class OrderKeyError(TerminalError):
    """There is a key, but not one that can sign."""

    reason = "OrderKeyInvalid"


class OrderKeyLostError(OrderKeyError):
    """Hosts obey a key that is not there any more; one made now would make them refuse every order."""

    reason = "OrderKeyLost"


@dataclass(frozen=True)
class KeySource:
    """Where the keys lie: in files, or without a file in a Secret of this namespace."""

    namespace: str
    file: Path | None = None
    previous_file: Path | None = None

    @classmethod
    def of(cls, settings: OperatorSettings) -> Self:
        """Return where the settings say that they lie."""
        return cls(settings.namespace, settings.order_key_file, settings.previous_order_key_file)


@dataclass(frozen=True)
class OrderKeys:
    """The key that signs, and the one before it while hosts learn the new one."""

    signer: Signer
    previous: Signer | None = None

    def published(self) -> list[OrderKey]:
        """Return what hosts are told: a host that trusts the previous key trusts the current one by its signature."""
        current = _published(self.signer)
        if self.previous is None:
            return [current]
        signature = self.previous.endorse(self.signer.public_key)
        endorsed = OrderKey(
            id=current.id,
            public_key=current.public_key,
            signed_by=self.previous.key_id,
            signature=signature,
        )
        return [_published(self.previous), endorsed]


async def load_order_keys(client: Client, source: KeySource, *, obeyed: str | None = None) -> OrderKeys:
    """Return the keys; one is made now if there was none, unless `obeyed` says who obeys the one that is gone.

    Raises:
        OrderKeyError: a key is not 32 bytes.
        OrderKeyLostError: there is no key, and hosts obey one.
        ApiError: the API server refused, or is away.
    """
    found = await read_order_keys(client, source)
    if found is not None:
        return found
    if obeyed is not None:
        raise _lost(source.namespace, obeyed)
    return _of_secret(await _create(client, source.namespace), source.namespace)


async def read_order_keys(client: Client, source: KeySource) -> OrderKeys | None:
    """Return the keys, or None where there is none yet.

    Raises:
        OrderKeyError: a key is not 32 bytes.
        ApiError: the API server refused, or is away.
    """
    if source.file is not None:
        previous = _from_file(source.previous_file) if source.previous_file is not None else None
        return _keys(_from_file(source.file), previous)
    try:
        secret = await client.get(SECRETS, SECRET_NAME, namespace=source.namespace)
    except NotFoundError:
        return None
    return _of_secret(secret, source.namespace)


def _of_secret(secret: Secret, namespace: str) -> OrderKeys:
    where = f"the Secret {namespace}/{SECRET_NAME}"
    current = _decoded(secret.data.get(SECRET_FIELD, ""), where=f"{where}, data.{SECRET_FIELD},")
    before = secret.data.get(PREVIOUS_FIELD)
    return _keys(current, _decoded(before, where=f"{where}, data.{PREVIOUS_FIELD},") if before else None)


def who_obeys(subset: Subset) -> str | None:
    """Return, for a person, who obeys the order key that was; None where a new key harms nobody."""
    orders = len(subset.assignments)
    joined = sum(
        host.status.store_id is not None and host.spec.lost is None for host in subset.hosts.values()
    )
    if not orders and not joined:
        return None
    return f"Assignments: {orders}, hosts that joined: {joined}"


def _keys(current: bytes, previous: bytes | None) -> OrderKeys:
    signer = Signer(current)
    if previous is None or previous == current:
        return OrderKeys(signer)
    keys = OrderKeys(signer, Signer(previous))
    log.info("order_key_rotates", current=signer.key_id, previous=Signer(previous).key_id)
    return keys


def _published(signer: Signer) -> OrderKey:
    return OrderKey(id=signer.key_id, public_key=base64.b64encode(signer.public_key).decode())


def _lost(namespace: str, obeyed: str) -> OrderKeyLostError:
    return OrderKeyLostError(
        f"the order key is gone: there is no Secret {namespace}/{SECRET_NAME}, but it was in use ({obeyed}); hosts would "
        f"refuse every order of a new key. Restore the Secret from a backup. If there is none, create it with a new key "
        f"in data.{SECRET_FIELD}, and give every host a join file with that key"
    )


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
