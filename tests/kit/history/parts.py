"""The processes of a history: the operator as the leader runs it, and hosts with real agents on simulated machines.

Each can be killed at any point; machines and stores outlive agents, as real ones do. Only kopf and the image server are
left out: neither has anything to do while pools, clusters and images are valid from the beginning.
"""

import asyncio
import shutil
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from innkeeper.agent.backup.copying import BackupMark, copy_store
from innkeeper.agent.backup.restore import restore
from innkeeper.agent.drivers.driver import Capacity, DomainPhase
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store import reading
from innkeeper.clock import rfc3339
from innkeeper.domain import names
from innkeeper.processes.holdings import Holdings
from innkeeper.processes.leader import Leader
from innkeeper.processes.watches import Watches
from innkeeper.settings import OperatorSettings
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import HostRecordMetrics, OperatorMetrics
from innkeeper.telemetry.readiness import Readiness
from kit.simulated_hosts import SimulatedHost
from tests.kit.guest_scene import SIGNER
from tests.kit.history.witness import Witness
from tests.kit.memory_api import MemoryApi
from tests.kit.virtual_loop import SteppedClock

GIB = 1024**3
CAPACITY = Capacity(cpu_millis=8_000, memory_bytes=16 * GIB, disk_bytes=200 * GIB)
KEYS = {SIGNER.key_id: SIGNER.public_key}


class Process:
    """Something that runs until it is killed; that it ends by itself is a complaint."""

    def __init__(self, name: str, witness: Witness) -> None:
        self.name = name
        self.witness = witness
        self.clock = SteppedClock()
        self._task: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._task is not None

    async def run(self) -> None:
        """Work for ever."""
        raise NotImplementedError("an operator and a host say what their work is")

    def start(self) -> None:
        """Start it, with an empty memory."""
        assert self._task is None
        self._task = asyncio.create_task(self.run(), name=self.name)

    async def kill(self) -> None:
        """End it where it stands."""
        if self._task is None:
            return
        self.check()
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def check(self) -> None:
        """Complain if it ended by itself."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return
        self.witness.complain(f"{self.name} ended by itself: {self._task.exception()!r}")


class OperatorPart(Process):
    """One operator that leads: several at once are a fault of their own."""

    def __init__(self, api: MemoryApi, witness: Witness, *, number: int, key_file: Path) -> None:
        super().__init__(f"operator-{number}", witness)
        self.client = api.client(self.name)
        self.subset = Subset()
        self._settings = OperatorSettings(order_key_file=key_file, identity=self.name)

    async def run(self) -> None:
        """Learn everything, then lead."""
        watches = Watches(self.client, clock=self.clock, subset=self.subset)
        registry = CollectorRegistry()
        holdings = Holdings(
            self._settings,
            client=self.client,
            clock=self.clock,
            watches=watches,
            subset=self.subset,
            metrics=HostRecordMetrics(registry),
        )
        async with asyncio.TaskGroup() as group:
            for watch in watches.all:
                group.create_task(watch.informer.run())
            group.create_task(holdings.run())
            await watches.synced()
            leader = _WithoutKopf(
                self._settings,
                client=self.client,
                clock=self.clock,
                metrics=OperatorMetrics(registry),
                subset=self.subset,
                watches=watches,
                holdings=holdings,
                identity=self.name,
            )
            group.create_task(leader.run())


class _WithoutKopf(Leader):
    def _handlers(self, rare: Any) -> Any:
        del rare
        return _Nothing()


class _Nothing:
    async def run(self) -> None:
        """Have nothing to handle."""


class WitnessedDriver(SimulatedDriver):
    """A simulated hypervisor that the witness looks at."""

    host: str
    witness: Witness

    async def remove(self, guest_id: str) -> None:
        """Destroy a machine, if there is one."""
        await self._take_time()
        if self.spec(guest_id) is not None:
            self.witness.removes(guest_id, self.host)
        await super().remove(guest_id)

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Turn a machine off."""
        before = self.stops[guest_id]
        await super().stop(guest_id, grace_s=grace_s)
        if self.stops[guest_id] > before:
            self.witness.operated.stopped(guest_id, self.host)

    def _become(self, guest_id: str, phase: DomainPhase) -> None:
        before = self._machines[guest_id].phase
        if (before, phase) == (DomainPhase.RUNNING, DomainPhase.PAUSED):
            self.witness.operated.paused(guest_id, self.host)
        elif (before, phase) == (DomainPhase.PAUSED, DomainPhase.RUNNING):
            self.witness.operated.resumed(guest_id, self.host)
        if phase.alive and not before.alive:
            self.witness.starts(guest_id, self.host)
        elif before.alive and not phase.alive:
            self.witness.ends(guest_id, self.host)
        super()._become(guest_id, phase)


class HostPart(Process):
    """One machine with its agent."""

    driver_kind: type[WitnessedDriver] = WitnessedDriver

    def __init__(self, api: MemoryApi, witness: Witness, name: str, *, directory: Path) -> None:
        super().__init__(f"agent of {name}", witness)
        self.host = name
        self.directory = directory / name
        self.is_cut = False
        self.is_burnt = False
        self.boots = 0
        self.backup: Path | None = None
        self.client = api.client(
            f"system:serviceaccount:{names.host_namespace(name)}:{names.AGENT_SERVICE_ACCOUNT}"
        )
        self._new_machine()

    def _new_machine(self) -> None:
        self.directory.mkdir()
        self.driver = self.driver_kind(self.clock, capacity=CAPACITY, latency_s=0.05)
        self.driver.host, self.driver.witness = self.host, self.witness

    async def run(self) -> None:
        """Run the agent."""
        agent = SimulatedHost(
            name=self.host,
            directory=self.directory,
            client=self.client,
            pinned_keys=KEYS,
            clock=self.clock,
            driver=self.driver,
            registry=CollectorRegistry(),
            readiness=Readiness(),
            boot_id=f"{self.host}-{self.boots}",
        )
        await agent.run()

    def cut_off(self, *, is_cut: bool) -> None:
        """Cut the machine's network to the API server, or mend it: its agent and guests run on."""
        self.is_cut = is_cut
        self.client.cut_off(is_cut=is_cut)

    async def reboot(self) -> None:
        """Lose the machine's power, and have it back: its agent is not running then."""
        await self.kill()
        self.driver.reboot()
        self.boots += 1

    async def burn(self) -> None:
        """Lose the machine with all that is on it."""
        await self.reboot()
        shutil.rmtree(self.directory)
        self.is_burnt = True

    async def lose_store(self) -> None:
        """Lose what the agent remembers, and nothing else; it does not run then."""
        await self.kill()
        for each in self.directory.glob("agent.db*"):
            each.unlink()

    def back_up(self) -> bool:
        """Back the store up; tell whether there is one."""
        database = StatePaths(self.directory).database
        if self.is_burnt or not database.exists():
            return False
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            _, store_id = reading.owner(connection)
        mark = BackupMark(store_id=store_id, taken_at=rfc3339(self.clock.now()), agent_version="1")
        self.backup = self.directory.with_suffix(".backup")
        copy_store(database, self.backup, mark)
        return True

    def put_store_back(self) -> None:
        """Put the store back from its backup."""
        assert self.backup is not None
        new_id = str(uuid.uuid4())
        restore(self.backup, StatePaths(self.directory), host=self.host, new_id=new_id, trusts_copy=False)

    def replace(self) -> None:
        """Put a new machine of the same name in its place."""
        self._new_machine()
        self.is_burnt = False
