"""The file that a host joins with: its name, the API server, its token, the keys of orders. Keys may be in other files.

It is read, and never written here. Keys are pinned: what the API server says about them later must be signed by one.
"""

import base64
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from innkeeper.agent import trust
from innkeeper.domain import names, orders
from innkeeper.errors import TerminalError

HOST_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
HostName = Annotated[str, Field(pattern=HOST_NAME, max_length=names.MAX_HOST_NAME)]
_MAX_BYTES = 64 * 1024


class JoinFile(BaseModel):
    """What a host joins with."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    host: HostName
    server: str = Field(pattern=r"^https?://")
    ca_data: str | None = None
    """The API server's authority: PEM, base64."""
    tls_server_name: str | None = None
    """The name in the API server's certificate, where it is reached by another one."""
    token_file: Path
    order_keys: dict[str, str] = Field(min_length=1, max_length=16)
    """Base64 public keys by ID."""

    @field_validator("order_keys")
    @classmethod
    def _are_keys(cls, value: dict[str, str]) -> dict[str, str]:
        trust.decode_keys(value)
        return value

    @field_validator("ca_data")
    @classmethod
    def _is_base64(cls, value: str | None) -> str | None:
        if value is not None:
            base64.b64decode(value, validate=True).decode()
        return value

    @property
    def pinned_keys(self) -> dict[str, bytes]:
        """The raw public keys by ID."""
        return trust.decode_keys(self.order_keys)

    @property
    def authority(self) -> str | None:
        """The API server's authority as PEM."""
        return None if self.ca_data is None else base64.b64decode(self.ca_data).decode()


def encoded(pem: str) -> str:
    """Return PEM as a join file has it."""
    return base64.b64encode(pem.encode()).decode()


class JoinFileError(TerminalError):
    """The join file, or a key file, cannot be used."""

    reason = "JoinFileInvalid"


def read_join_file(path: Path) -> JoinFile:
    """Read a join file.

    Raises:
        JoinFileError: it is missing or not what it should be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES)
        return JoinFile.model_validate_json(content)
    except OSError as error:
        raise JoinFileError(f"the join file cannot be read: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise JoinFileError(f"the join file {path} cannot be used: {wrong}") from error


def read_key_file(path: Path) -> tuple[str, bytes]:
    """Read a public key (base64 of 32 bytes) and return it with its ID.

    Raises:
        JoinFileError: it is missing or no key.
    """
    try:
        raw = base64.b64decode(path.read_text()[:_MAX_BYTES].strip(), validate=True)
        keys = trust.decode_keys({orders.key_id(raw): base64.b64encode(raw).decode()})
    except (OSError, ValueError) as error:
        raise JoinFileError(f"{path} holds no base64 order key of 32 bytes: {error}") from error
    return next(iter(keys.items()))
