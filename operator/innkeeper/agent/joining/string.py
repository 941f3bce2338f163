"""What an admin carries to a host so that it joins: one line, the base64 of a JSON document with a join token in it.

Who has the line before its token ends can be that host. It is checked in form only; whether the token is good, the API
server says.
"""

import base64
import binascii
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

from innkeeper.agent import trust
from innkeeper.agent.join_file import HostName
from innkeeper.domain import names
from innkeeper.errors import TerminalError
from innkeeper.kube.credentials import MAX_TOKEN_BYTES, Credentials
from innkeeper.kube.tokens import Token, TokenUnreadableError

MAX_BYTES = 128 * 1024
_MAX_PEM = 64 * 1024


class JoinString(BaseModel):
    """What a host needs to join."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    version: Literal[1] = 1
    host: HostName
    server: str = Field(pattern=r"^https?://[!-~]+$", max_length=300)
    ca_data: str | None = Field(None, max_length=_MAX_PEM)
    """The API server's authority: PEM, base64."""
    tls_server_name: str | None = Field(None, max_length=253)
    order_keys: dict[str, str] = Field(min_length=1, max_length=16)
    """Base64 public keys by ID."""
    hosts_ca: str | None = Field(None, max_length=_MAX_PEM)
    """The authority of the operator's certificate towards hosts: PEM."""
    token: SecretStr = Field(max_length=MAX_TOKEN_BYTES)

    @model_validator(mode="after")
    def _belongs_together(self) -> "JoinString":
        trust.decode_keys(self.order_keys)
        if self.ca_data is not None:
            base64.b64decode(self.ca_data, validate=True).decode()
        if self.join_token.namespace != names.host_namespace(self.host):
            raise ValueError(f"its token is not one of the host {self.host}")
        return self

    @field_serializer("token")
    def _shown(self, token: SecretStr) -> str:
        return token.get_secret_value()

    @property
    def join_token(self) -> Token:
        """The token, with what it says of itself."""
        try:
            return Token.read(self.token.get_secret_value())
        except TokenUnreadableError as error:
            raise ValueError(error.message) from error

    @property
    def credentials(self) -> Credentials:
        """Who the host is to the API server until it has a token of its own."""
        return Credentials(
            server=self.server.rstrip("/"),
            ca_data=None if self.ca_data is None else base64.b64decode(self.ca_data).decode(),
            tls_server_name=self.tls_server_name,
            token=self.token.get_secret_value(),
        )

    def encode(self) -> str:
        """Return the one line."""
        return base64.b64encode(self.model_dump_json(by_alias=True, exclude_none=True).encode()).decode()


class JoinStringError(TerminalError):
    """A text is no join token, or a damaged one."""

    reason = "JoinTokenInvalid"


def decode(text: str) -> JoinString:
    """Return what a line holds.

    Raises:
        JoinStringError: it was cut, is something else, or does not belong together. The message holds nothing of it.
    """
    line = "".join(text.split())  # a terminal may have broken it into lines
    if len(line) > MAX_BYTES:
        raise JoinStringError(f"this is no join token: it has more than {MAX_BYTES} characters")
    try:
        return JoinString.model_validate_json(base64.b64decode(line, validate=True))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'content'}: {each['msg']}"
            for each in error.errors(include_input=False, include_context=False)
        )
        raise JoinStringError(f"this join token cannot be used; was all of it copied? ({wrong})") from None
    except (binascii.Error, ValueError):
        raise JoinStringError("this is no join token: copy the whole line that was printed") from None
