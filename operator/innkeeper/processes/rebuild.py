"""`innkeeper operator rebuild`: the API server's objects made anew from what hosts hold, while no operator acts.

It holds the operator's Lease as long as it writes. It signs nothing: what hosts show was signed before.
"""

import asyncio
import base64
import binascii
import os
import platform
import secrets
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from innkeeper.clock import Clock
from innkeeper.domain.names import host_of_namespace
from innkeeper.domain.orders import key_id
from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.errors import TerminalError
from innkeeper.hosts.directory import read_hosts_file
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.lease import LeaderElection
from innkeeper.kube.resources import GUESTS, HOST_AGENTS, HOSTS, LEASES, NAMESPACES
from innkeeper.processes.hosts_asked import hearing, public_keys
from innkeeper.processes.operator import LEASE_NAME
from innkeeper.processes.order_key import KEY_BYTES, KeySource, read_order_keys
from innkeeper.processes.store_history import StoreHistory
from innkeeper.settings import OperatorSettings
from innkeeper.state import snapshot
from innkeeper.state.snapshot import SnapshotRefusedError
from innkeeper.state.snapshot_hosts import hosts_of
from innkeeper.workers.rebuild.patience import patiently
from innkeeper.workers.rebuild.rebuild import Outcome, Progress, Rebuild

NOBODY_KNOWN = (
    "there is no host to ask, so nothing can be made anew, and nothing was written: name the hosts in a file, "
    'hosts: [{name: host-a, address: "10.0.0.1:9104"}], and give it with --hosts-file, or give the snapshot that the '
    "operator kept with --snapshot-file. In a first installation there is nothing to rebuild: the operator leads once "
    "its hosts file says hosts: [], or with --rebuild Never"
)
NOBODY_LEFT = (
    "every host that is known was given up, so nothing can be made anew, and nothing was written: to lead in a store "
    "that lacks what they held, start the operator with --rebuild Never"
)


@dataclass(frozen=True, kw_only=True)
class RebuildWish:
    """What a person asked for. `without` names hosts that they give up."""

    without: frozenset[str] = frozenset()
    public_keys: tuple[str, ...] = ()  # base64, beside those that the settings name
    dry_run: bool = False


class RebuildCommand:
    """One run of the command. `say` takes sentences for people, `progress` how far it is."""

    def __init__(
        self,
        settings: OperatorSettings,
        wish: RebuildWish,
        *,
        client: Client,
        clock: Clock,
        say: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._wish = wish
        self._client = client
        self._clock = clock
        self._say = say
        self._progress = progress
        self._history = StoreHistory(client, clock, namespace=settings.namespace)

    async def run(self) -> Outcome:
        """Hear hosts; write what is missing, unless only a look was asked for or a host was not heard.

        Raises:
            InnkeeperError: it cannot be done; the message says what to do.
        """
        await patiently(self._check_installed, self._clock)
        keys = await patiently(self._keys, self._clock)
        before = await asyncio.to_thread(self._hosts_before)
        places = await patiently(lambda: self._places(before), self._clock)
        wanted = self._wanted(places.keys())
        async with hearing(self._settings, keys=keys, address_of=places.get, clock=self._clock) as heard:
            rebuild = Rebuild(self._client, heard, clock=self._clock, progress=self._progress)
            if self._wish.dry_run:
                return (await rebuild.look(wanted)).outcome
            return await self._under_lease(rebuild, wanted)

    async def _under_lease(self, rebuild: Rebuild, wanted: Iterable[str]) -> Outcome:
        outcome = Outcome()

        async def work() -> None:
            nonlocal outcome
            outcome = await self._write(rebuild, wanted)

        await self._tell_of_holder()
        election = LeaderElection(
            self._client,
            namespace=self._settings.namespace,
            name=LEASE_NAME,
            identity=f"rebuild-{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}",
            clock=self._clock,
        )
        await election.run(work)
        return outcome

    async def _write(self, rebuild: Rebuild, wanted: Iterable[str]) -> Outcome:
        found = await rebuild.look(wanted)
        if not found.outcome.is_complete:
            return found.outcome
        await patiently(lambda: self._history.note(RebuildState.REBUILDING), self._clock)
        outcome = await rebuild.make(found)
        if outcome.is_complete:
            await patiently(lambda: self._history.note(RebuildState.DONE), self._clock)
        return outcome

    async def _tell_of_holder(self) -> None:
        try:
            lease = await self._client.get(LEASES, LEASE_NAME, namespace=self._settings.namespace)
        except NotFoundError:
            return
        if lease.spec.holder_identity:
            self._say(
                f"waiting for the operator's Lease, which {lease.spec.holder_identity} holds: stop the operator"
            )

    async def _check_installed(self) -> None:
        try:
            await self._client.get(NAMESPACES, self._settings.namespace)
            await self._client.version_of(GUESTS)
        except NotFoundError as error:
            raise TerminalError(
                "Innkeeper is not installed in this API server: apply its CRDs, rights and policies first "
                f"({error.message})"
            ) from error

    async def _keys(self) -> dict[str, bytes]:
        source = KeySource.of(self._settings)
        found = await read_order_keys(self._client, source)
        keys = public_keys(found) if found is not None else {}
        for text in self._wish.public_keys:
            key = _decoded(text)
            keys[key_id(key)] = key
        if not keys:
            raise TerminalError(
                "no order counts without the key that signed it: give --order-key-file, or restore its Secret "
                f"in {source.namespace}"
            )
        return keys

    def _hosts_before(self) -> dict[str, str | None]:
        file = self._settings.snapshot_file
        if file is None:
            return {}
        try:
            return hosts_of(snapshot.read(file))
        except SnapshotRefusedError as error:
            raise TerminalError(
                f"--snapshot-file names no hosts: {error.message}. Give the file that the operator wrote, or do without "
                "and name all hosts with --hosts-file"
            ) from error

    async def _places(self, before: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return where each host is reached: as the hosts file says, else as it reported to this API server.

        Else as the snapshot says that the operator made before; None: nobody says it. Hosts are left out that a person
        said are lost.
        """
        hosts = (await self._client.list(HOSTS)).items
        lost = {each.metadata.name for each in hosts if each.spec.lost is not None}
        reported = {
            host_of_namespace(each.metadata.namespace) or "": each.status.address
            for each in (await self._client.list(HOST_AGENTS)).items
        }
        file = self._settings.hosts_file
        listed = read_hosts_file(file) if file is not None else {}
        named: dict[str, str | None] = {each.metadata.name: None for each in hosts}
        told = {host: address for host, address in reported.items() if address}
        known = {**named, **before, **told, **listed}
        return {host: address for host, address in known.items() if host not in lost}

    def _wanted(self, known: AbstractSet[str]) -> set[str]:
        unknown = self._wish.without - known
        if unknown:
            raise TerminalError(
                f"--without names hosts that nobody asks anyway: {', '.join(sorted(unknown))}"
            )
        if not known:
            raise TerminalError(NOBODY_KNOWN)
        wanted = {*known} - self._wish.without
        if not wanted:
            raise TerminalError(NOBODY_LEFT)
        return wanted


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise TerminalError(f"--order-public-key: {KEY_BYTES} bytes, as base64, are expected")
    return key
