"""How a bucket is reached: by the variables that S3 clients know. What they name is read when the bucket is opened.

`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and what else the
client reads itself. What it lacks is here: a file of credentials, read anew before it is too old; an authority of our
own; and that plain HTTP must be allowed in so many words, since orders hold user data.
"""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import S3Store

from innkeeper.agent.backup.s3 import told
from innkeeper.clock import Clock
from innkeeper.errors import TerminalError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential, S3CredentialProvider

CREDENTIALS_LAST = timedelta(minutes=5)
MAX_FILE_BYTES = 256 * 1024
REQUEST_S = 120
CONNECT_S = 10
RETRIES = 3


class S3AccessError(TerminalError):
    """What the environment says of S3 cannot be used; the message says what to change."""

    reason = "S3AccessInvalid"


@dataclass(frozen=True)
class CredentialsFile:
    """A file of credentials as AWS's tools write it: `[profile]`, `aws_access_key_id`, `aws_secret_access_key`."""

    path: Path
    profile: str
    clock: Clock

    def __call__(self) -> "S3Credential":
        """Read it: whoever changes it is followed within minutes.

        Raises:
            S3AccessError: it cannot be read, or has no such credentials.
        """
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(_read(self.path))
            section = parser[self.profile]
            return {
                "access_key_id": section["aws_access_key_id"],
                "secret_access_key": section["aws_secret_access_key"],
                "token": section.get("aws_session_token"),
                "expires_at": self.clock.now() + CREDENTIALS_LAST,
            }
        except (configparser.Error, KeyError):  # neither may be shown: it may quote the secret
            raise S3AccessError(
                f"{self.path} has no aws_access_key_id and aws_secret_access_key below [{self.profile}]"
            ) from None


def bucket_store(
    bucket: str, prefix: str | None, *, url: str, environment: Mapping[str, str], clock: Clock
) -> S3Store:
    """Return the client of a bucket, below a prefix. It asks nobody yet.

    Raises:
        S3AccessError: the environment names a file that cannot be used.
        BackupFailedError: the client does not take what the environment says.
    """
    options: ClientConfig = {
        "timeout": f"{REQUEST_S}s",
        "connect_timeout": f"{CONNECT_S}s",
        "allow_http": environment.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
        "user_agent": "innkeeper-agent",
    }
    if authority := environment.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = _read(Path(authority))
    provider: S3CredentialProvider | None = None
    if file := environment.get("AWS_SHARED_CREDENTIALS_FILE"):
        provider = CredentialsFile(Path(file), environment.get("AWS_PROFILE", "default"), clock)
        provider()
    with told("reaching the bucket", url):
        return S3Store(
            bucket,
            prefix=prefix,
            # The server compares what it got with this; one object is deleted at a time, which all servers know.
            config={"checksum_algorithm": "SHA256", "disable_bulk_delete": True},
            client_options=options,
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_S)},
            credential_provider=provider,
        )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise S3AccessError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise S3AccessError(f"{path} cannot be read: {error}") from error
