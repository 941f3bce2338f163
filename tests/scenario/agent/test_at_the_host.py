"""The real process and the real commands: a power cut, a lost store, a backup, a person at the host.

The simulated driver's machines live in the agent's process, so killing it is what a power cut is to a host.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from innkeeper.agent.store.store import Store
from innkeeper.kube.resources import LEASES
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import HOST, STORE, guest_id, order
from tests.kit.waiting import eventually
from tests.scenario.agent.test_process import join_file

GUEST = guest_id()
PROGRAM = [sys.executable, "-c", "from innkeeper.cli.main import app; app()", "agent"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


class Machine:
    """A host's machine: a state directory, and commands that a person types there."""

    def __init__(self, host: AgentHost, directory: Path) -> None:
        self.state = directory / "state"
        self.backups = directory / "backups"
        self.backups.mkdir()
        self._join = join_file(host, directory)

    @asynccontextmanager
    async def power(self) -> AsyncIterator[None]:
        """Run the agent until the power is cut."""
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *("--join-file", str(self._join), "--state-dir", str(self.state), "--driver", "simulated"),
            *("--metrics-port", "0", "--log-level", "error"),
            *("--backup-directory", str(self.backups), "--backup-every-s", "1"),
            env=ENVIRONMENT,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()

    async def types(self, *words: str) -> tuple[int, str, str]:
        """Return the exit code of a command, what it printed, and what it complained of."""
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *words,
            *("--state-dir", str(self.state)),
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            said, complaint = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode(), complaint.decode()

    async def reason(self) -> str:
        """Return the reason that `list` gives for the one guest."""
        code, said, complaint = await self.types("list", "-o", "json")
        assert code == 0, complaint
        return str(json.loads(said)["guests"][0]["reason"])

    def lose_store(self) -> None:
        """Lose the database."""
        for path in self.state.glob("agent.db*"):
            path.unlink()


@pytest.fixture
async def machine(host: AgentHost, tmp_path: Path) -> Machine:
    made = Machine(host, tmp_path)
    await (await Store.open(made.state / "agent.db", host=HOST, new_id=STORE)).close()
    return made


async def test_a_person_at_the_host(host: AgentHost, machine: Machine) -> None:
    async with machine.power():
        await host.assign(order())
        await host.told(GUEST, "Running")
        code, said, _ = await machine.types("list")
        assert (code, GUEST in said, "Running" in said) == (0, True, True)
        assert (await machine.types("stop", "guests/web-1"))[0] == 0
        await host.told(GUEST, "StoppedAtHost")
    code, _, complaint = await machine.types("start", GUEST)
    assert (code, "kept" in complaint) == (0, True)
    async with machine.power():
        await host.told(GUEST, "Running")
        assert (await machine.types("stop", GUEST))[0] == 0
        await host.told(GUEST, "StoppedAtHost")
        code, _, complaint = await machine.types("forget", GUEST)
        assert (code, "--yes" in complaint) == (2, True)
        assert (await machine.types("forget", GUEST, "--yes"))[0] == 0
        await host.told(GUEST, "ForgottenAtHost", outcome="Destroyed")
    code, _, complaint = await machine.types("start", GUEST)
    assert (code, complaint.startswith("innkeeper agent start: ")) == (1, True)


async def test_a_lost_store_is_built_from_a_backup(host: AgentHost, machine: Machine) -> None:
    async with machine.power():
        await host.assign(order())
        await host.told(GUEST, "Running")
        count = len(list(machine.backups.glob("*.db")))
        await eventually(lambda: len(list(machine.backups.glob("*.db"))) > count, deadline_s=60)
    backup = str(max(machine.backups.glob("*.db")))
    code, _, complaint = await machine.types("restore", backup, "--host", HOST)
    assert (code, "never replaced" in complaint) == (1, True)
    machine.lose_store()
    code, said, complaint = await machine.types("restore", backup, "--host", HOST, "-o", "json")
    assert code == 0, complaint
    restored = json.loads(said)
    assert (restored["former_store_id"], restored["guests"]) == (STORE, 1)
    await host.admin.delete(LEASES, "heartbeat", namespace=host.namespace)
    async with machine.power():
        await host.told(GUEST, "OrderInvalid", outcome="Invalid")
        assert await machine.reason() == "WaitingForOrders"
        await host.assign(order(serial=2, store_id=restored["store_id"]))
        await host.told(GUEST, "Running")


async def test_after_a_power_cut_guests_start_with_no_api_server(host: AgentHost, machine: Machine) -> None:
    async with machine.power():
        await host.assign(order())
        await host.told(GUEST, "Running")
    await host.api.down()
    async with machine.power():

        async def runs() -> bool:
            return await machine.reason() == "Running"

        await eventually(runs, deadline_s=60)
