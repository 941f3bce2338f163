"""Everything that a history happens to: one API server, hosts, operators, and people who ask for guests.

What it does, it logs with the virtual time, so that a failed history can be read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

from innkeeper.kube import resources
from innkeeper.kube.resources import CLUSTERS, FLAVORS, GUEST_OPERATIONS, GUESTS, HOSTS, IMAGES, IP_POOLS
from tests.kit import objects
from tests.kit.fake_api_kinds import Document
from tests.kit.history.parts import HostPart, OperatorPart
from tests.kit.history.witness import Witness
from tests.kit.memory_api import MemoryApi
from tests.kit.objects import NAMESPACE
from tests.kit.virtual_loop import START

HOST_NAMES = ("a", "b", "c", "d")
POOL_NAMES = ("lab", "small")
STARTED_S = 1000.0  # where the loop's seconds begin


class World:
    """One history's scene. `host_kind` and `operator_kind` are replaced where a test plants a bug.

    `again` tells the command to show it again.
    """

    host_kind: type[HostPart] = HostPart
    operator_kind: type[OperatorPart] = OperatorPart
    again = ""

    def __init__(self, seed: int, *, directory: Path, tell: Callable[[str], None]) -> None:
        self.random = Random(seed)  # noqa: S311 - it makes a history, not a secret
        self.log: list[str] = []
        self._tell = tell
        self.witness = Witness(self.say)
        self._directory = directory
        self._operators = 0
        self._operations = 0
        self.operators: list[OperatorPart] = []

    async def begin(self) -> None:
        """Make what guests need, and start every process."""
        loop = asyncio.get_running_loop()
        self.api = MemoryApi(
            Random(self.random.random()),  # noqa: S311 - answers take random moments
            bookmark_s=30,
            now=lambda: START + timedelta(seconds=loop.time()),
        )
        await self.api.up()
        self.api.store.observers.append(self.witness.happened)
        self._furnish()
        number = self.random.choice((3, 4))
        self.hosts = {name: self._host(name) for name in HOST_NAMES[:number]}
        self.start_operator()
        for host in self.hosts.values():
            host.start()

    def _furnish(self) -> None:
        api = self.api
        api.create(CLUSTERS, {"metadata": {"name": "lab"}, "spec": {"network": {"bridge": "br0"}}})
        api.create(FLAVORS, objects.flavor())
        api.create(FLAVORS, objects.flavor("large", cpu="3", memory="5Gi", disk="40Gi"))
        api.create(IMAGES, objects.image(), namespace=NAMESPACE)
        api.create(IP_POOLS, objects.pool("lab", cidr="10.7.0.0/27", clusters=["lab"]))
        small = {"cidr": "10.8.0.0/29", "gateway": "10.8.0.1", "clusters": ["lab"]}
        api.create(IP_POOLS, objects.pool("small", **small))

    def _host(self, name: str) -> HostPart:
        self.register(name)
        return self.host_kind(self.api, self.witness, name, directory=self._directory)

    def register(self, name: str) -> None:
        """Create a Host, as an admin does."""
        self.api.create(HOSTS, {"metadata": {"name": name}, "spec": {"cluster": "lab"}})

    def start_operator(self) -> str:
        """Start one more operator."""
        self._operators += 1
        key_file = self._directory / "order.key"
        if not key_file.exists():
            key_file.write_bytes(b"\x05" * 32)
        made = self.operator_kind(self.api, self.witness, number=self._operators, key_file=key_file)
        self.operators.append(made)
        made.start()
        return made.name

    def settle(self) -> None:
        """Do what people do once all faults are over."""

    async def end(self) -> None:
        """End every process."""
        for process in (*self.operators, *self.hosts.values()):
            await process.kill()

    @property
    def events(self) -> Sequence[tuple[float, Callable[["World"], Awaitable[str | None]]]]:
        """What may happen in it; empty: all that the grammar has."""
        return ()

    # Time

    @property
    def seconds(self) -> float:
        """How long the history has lasted."""
        return asyncio.get_running_loop().time() - STARTED_S

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and look whether every process still runs."""
        await asyncio.sleep(seconds)  # of the virtual loop: no real time passes
        for process in (*self.operators, *self.hosts.values()):
            process.check()

    def say(self, what: str) -> None:
        """Write a line of the log."""
        line = f"{self.seconds:9.2f} s  {what}"
        self.log.append(line)
        self._tell(line)

    # What is there

    def guests(self) -> list[Document]:
        """Return the Guests that nobody deleted yet."""
        return [each for each in self.api.objects(GUESTS) if "deletionTimestamp" not in each["metadata"]]

    def new_guest_name(self) -> str:
        """Return a name; names of guests that are gone come again."""
        taken = {each["metadata"]["name"] for each in self.api.objects(GUESTS)}
        free = [f"web-{number}" for number in range(24) if f"web-{number}" not in taken]
        return self.random.choice(free) if free else ""

    def operate(self, guest: str, kind: str) -> Document:
        """Ask for something to be done to a guest once; it is looked at in the end, so it stays."""
        self._operations += 1
        spec = {"guestName": guest, "operation": kind, "ttlSecondsAfterFinished": 86_400}
        body = {"metadata": {"name": f"op-{self._operations}"}, "spec": spec}
        return self.api.create(GUEST_OPERATIONS, body, namespace=NAMESPACE)

    def host_object(self, name: str) -> Document | None:
        """Return a Host as it is."""
        return self.api.get(resources.HOSTS, name)
