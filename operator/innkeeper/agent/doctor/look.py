"""What the checks share: the machine's settings, and what the API server said when it was asked once as this host."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp

from innkeeper.agent import join_file
from innkeeper.agent.identity import credentials_of
from innkeeper.agent.join_file import JoinFile
from innkeeper.agent.joining.rotation import in_file
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.inspection import inspect
from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from innkeeper.kube.tokens import Token
from innkeeper.views.assignment import Assignment
from innkeeper.views.host import HostAgentSpec

ANSWER_WITHIN_S = 10.0
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_RIGHTS = (
    ("innkeeper.dev", "hostagents", "status", "patch", ""),
    ("innkeeper.dev", "assignments", "status", "patch", ""),
    ("innkeeper.dev", "assignments", "", "watch", ""),
    ("", "secrets", "", "get", ""),
    ("coordination.k8s.io", "leases", "", "update", names.HEARTBEAT_LEASE),
    ("", "events", "", "create", ""),
    ("", "serviceaccounts", "token", "create", names.AGENT_SERVICE_ACCOUNT),
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where things lie on the machine that is looked at."""

    join_file: Path
    paths: StatePaths
    libvirt_uri: str
    clock: Clock
    qemu_conf: Path = Path("/etc/libvirt/qemu.conf")
    images_url: str | None = None
    images_ca_file: Path | None = None
    listen: tuple[tuple[str, str, int], ...] = ()
    """What listens: its name, its address, its port."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What the join file and the API server say. `trouble` is why the API server could not be asked."""

    join: JoinFile | None = None
    join_trouble: InnkeeperError | None = None
    token: Token | None = None
    trouble: InnkeeperError | None = None
    ahead: timedelta | None = None
    """How far this machine's clock is ahead of the API server's, which tells whole seconds."""
    orders: HostAgentSpec | None = None
    """The host's own orders: from the API server, else as the store saw them last."""
    assignments: list[Assignment] = field(default_factory=list)
    missing_rights: tuple[str, ...] = ()


async def look(machine: Machine) -> Joined:
    """Read the join file and ask the API server; what this user may not read is told like what is damaged."""
    remembered = await asyncio.to_thread(_remembered, machine.paths)
    if not _may_be_there(machine.join_file):
        return Joined(orders=remembered)
    try:
        join = join_file.read_join_file(machine.join_file)
        credentials = credentials_of(join_file=machine.join_file, kubeconfig=None)
    except InnkeeperError as error:
        return Joined(join_trouble=error, orders=remembered)
    token = in_file(machine.join_file.parent / join.token_file)
    ahead = await _ahead(credentials, machine.clock)
    try:
        async with Client(credentials, request_timeout_s=ANSWER_WITHIN_S) as client:
            place = names.host_namespace(join.host)
            agent = await client.get(HOST_AGENTS, names.HOST_AGENT_NAME, namespace=place)
            found = await client.list(ASSIGNMENTS, namespace=place)
            missing = [each for each in _RIGHTS if not await _may(client, place, *each)]
    except InnkeeperError as error:
        return Joined(join=join, token=token, trouble=error, ahead=ahead, orders=remembered)
    told = tuple(f"{verb} {resource}{sub and '/'}{sub}" for _, resource, sub, verb, _ in missing)
    return Joined(
        join=join,
        token=token,
        ahead=ahead,
        orders=agent.spec,
        assignments=found.items,
        missing_rights=told,
    )


def _remembered(paths: StatePaths) -> HostAgentSpec | None:
    try:
        return inspect(paths.database).settings
    except (InnkeeperError, OSError):
        return None


def _may_be_there(path: Path) -> bool:
    """Tell whether a file is there, as far as this user can see: who reads it learns why it cannot be read."""
    try:
        return path.exists()
    except OSError:
        return True


async def _may(client: Client, place: str, group: str, resource: str, sub: str, verb: str, name: str) -> bool:
    attributes = {"namespace": place, "group": group, "resource": resource, "verb": verb}
    attributes |= {key: value for key, value in (("subresource", sub), ("name", name)) if value}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status = (await client.post(_REVIEWS, body)).get("status")
    return isinstance(status, dict) and status.get("allowed") is True


async def _ahead(credentials: Credentials, clock: Clock) -> timedelta | None:
    """Return by how much this machine's clock is ahead; None where the API server says no time."""
    try:
        context = credentials.ssl_context()
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context if context is not None else False), timeout=timeout
            ) as session,
            session.head(
                f"{credentials.server}/readyz",
                allow_redirects=False,
                server_hostname=credentials.tls_server_name,
            ) as answer,
        ):
            said: datetime = parsedate_to_datetime(answer.headers["Date"])
            return clock.now() - said
    except (aiohttp.ClientError, TimeoutError, OSError, KeyError, ValueError, TypeError, InnkeeperError):
        return None
