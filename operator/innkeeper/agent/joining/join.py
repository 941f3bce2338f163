"""What `innkeeper agent join` does: the join token becomes a token of the host's own, and both files are written.

Nothing is written before the API server has taken the new token, so a join that fails leaves the host as it was. It may
be run again at any time, also while the agent runs, which reads its token anew.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from innkeeper.agent import join_file
from innkeeper.agent.join_file import JoinFile
from innkeeper.agent.joining import files
from innkeeper.agent.joining.sources import OwnRight
from innkeeper.agent.joining.string import JoinString
from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import names
from innkeeper.errors import TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import ApiError, ForbiddenError, NotFoundError, UnauthorizedError
from innkeeper.kube.resources import HOST_AGENTS
from innkeeper.kube.tokens import Token

_NEW_ONE = "make a new one where kubectl works: kubectl guest join-token"


@dataclass(frozen=True)
class Places:
    """Where the files of a join go."""

    join_file: Path = Path("/etc/innkeeper/join.json")
    token_file: Path = Path("/var/lib/innkeeper/identity/host.token")
    hosts_ca_file: Path = Path("/etc/innkeeper/hosts-ca.crt")


class NotJoinedError(TerminalError):
    """The host did not join; nothing was changed."""

    reason = "NotJoined"


async def join(given: JoinString, places: Places, *, clock: Clock, replace: bool = False) -> Token:
    """Join, and return the host's own token.

    Raises:
        NotJoinedError: the join token is over, revoked or of another API server; or the host is joined as another.
        NotWrittenError: a file cannot be written.
    """
    if not replace:
        _check_earlier(given, places.join_file)
    _check_life(given.join_token, clock.now(), given.host)
    token = await _exchange(given)
    files.write_private(places.token_file, token.value)
    if given.hosts_ca is not None:
        files.write_private(places.hosts_ca_file, given.hosts_ca)
    # Last: its presence means that all is there.
    files.write_join_file(
        places.join_file,
        JoinFile(
            host=given.host,
            server=given.server,
            ca_data=given.ca_data,
            tls_server_name=given.tls_server_name,
            token_file=places.token_file.absolute(),
            order_keys=given.order_keys,
        ),
    )
    return token


def _check_earlier(given: JoinString, path: Path) -> None:
    if not path.exists():
        return
    earlier = join_file.read_join_file(path)
    if earlier.host != given.host:
        message = f"this machine joined as {earlier.host}, and the token is for {given.host}"
        raise NotJoinedError(
            f"{message}; with --replace it leaves the first, whose guests it then no longer hears of"
        )
    if not earlier.order_keys.keys() & given.order_keys.keys():
        raise NotJoinedError(
            f"the order keys of the token are none of those that {path} pins; if the control plane was built anew "
            "and you trust where the token came from, say --replace"
        )


def _check_life(token: Token, now: datetime, host: str) -> None:
    if token.expires <= now:
        raise NotJoinedError(
            f"the join token was good until {rfc3339(token.expires)} and this machine's clock says {rfc3339(now)}: "
            f"set the clock, or {_NEW_ONE} {host}"
        )


async def _exchange(given: JoinString) -> Token:
    """Return a token of the host's own that was tried."""
    try:
        async with Client(given.credentials) as client:
            token = await OwnRight(client, host=given.host).ask()
        async with Client(_with(given.credentials, token)) as client:
            await client.get(HOST_AGENTS, names.HOST_AGENT_NAME, namespace=names.host_namespace(given.host))
    except UnauthorizedError as error:
        raise NotJoinedError(
            f"the API server does not take the join token; it is over, was revoked, or is another cluster's: "
            f"{_NEW_ONE} {given.host}"
        ) from error
    except (ForbiddenError, NotFoundError) as error:
        raise NotJoinedError(
            f"the API server knows the token and lets it do nothing: are the operator, its rights and its policies "
            f"those of this version? ({error.message})"
        ) from error
    except ApiError as error:
        raise NotJoinedError(
            f"{error.message}; can this machine reach {given.server}?", retryable=True
        ) from error
    return token


def _with(credentials: Credentials, token: Token) -> Credentials:
    return Credentials(
        server=credentials.server,
        ca_data=credentials.ca_data,
        tls_server_name=credentials.tls_server_name,
        token=token.value,
    )
