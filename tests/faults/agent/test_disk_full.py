"""The host's disk is full at one step of a build: who runs is not hurt, who comes is told, and all heals with room."""

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.opening import StoreDamagedError, StoreUnusableError
from innkeeper.agent.store.store import Store
from innkeeper.clock import SystemClock
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually, settled

GUEST, OTHER = guest_id(), guest_id(2)


def full() -> OSError:
    """Return what the system says."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fetch", "overlay", "seed"])
async def test_at_a_step_of_the_build(running: AgentHost, step: str) -> None:
    running.gates.failures[step] += [full(), full()]
    await running.assign(order(2))
    told = await running.told(OTHER, "HostDiskFull")
    assert "make room" in told.message
    assert running.driver.running() == {GUEST}
    running.driver.crash(GUEST)
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    await running.told(OTHER, "Running")
    assert running.driver.starts[OTHER] == 1


class Room:
    """How large the agent's database may grow: SQLite answers as it does on a full disk."""

    def __init__(self) -> None:
        self._store: Store | None = None

    def opened(self, open_store: Callable[..., Any]) -> Callable[..., Any]:
        """Return what opens a store and remembers it."""

        async def open_and_remember(*words: Any, **more: Any) -> Store:
            self._store = await open_store(*words, **more)
            return self._store

        return open_and_remember

    async def limit(self, *, is_full: bool) -> None:
        """Let the database grow no more, or as it likes."""
        assert self._store is not None
        await self._store._read(
            lambda c: c.execute(f"PRAGMA max_page_count = {1 if is_full else 1_000_000}").fetchall()
        )


async def says(host: AgentHost, status: str, reason: str) -> bool:
    """Tell whether the host's Ready is so."""
    ready = (await host.host_agent()).status.conditions[0]
    return (ready.status, ready.reason) == (status, reason)


async def test_in_the_store(host: AgentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """No order is taken that cannot be kept; the host says why, and guests run on."""
    room = Room()
    monkeypatch.setattr(Store, "open", room.opened(Store.open))
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    await room.limit(is_full=True)
    large = order(2, annotations={"note": "x" * 20_000})  # more than what is left of the pages that are there
    await host.assign(large)

    await eventually(lambda: says(host, "False", "HostDiskFull"))
    assert (await host.assignment(OTHER)).status.outcome is None
    assert host.driver.running() == {GUEST}
    await room.limit(is_full=False)
    await host.told(OTHER, "Running")
    await eventually(lambda: says(host, "True", "Ready"))
    assert host.driver.starts[GUEST] == 1


def refuse(monkeypatch: pytest.MonkeyPatch, write: str, *, while_so: Callable[[], bool]) -> None:
    """Have the store refuse one of its writes, as it does on a full disk."""
    real = getattr(Store, write)

    async def written(store: Store, *words: Any, **more: Any) -> None:
        if while_so():
            raise StoreUnusableError("database or disk is full", reason=GuestReason.HOST_DISK_FULL)
        await real(store, *words, **more)

    monkeypatch.setattr(Store, write, written)


async def test_once_the_machine_has_started(running: AgentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept of it is seen at the machine itself: it is started no second time."""
    is_full = [True]
    refuse(monkeypatch, "put", while_so=lambda: running.driver.starts[OTHER] > 0 and is_full[0])
    await running.assign(order(2))
    await eventually(lambda: says(running, "False", "HostDiskFull"))
    assert running.driver.running() == {GUEST, OTHER}
    is_full[0] = False
    await running.told(OTHER, "Running")
    await eventually(lambda: says(running, "True", "Ready"))
    assert running.driver.starts[OTHER] == 1


async def test_at_the_tombstone(running: AgentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest of which the host would forget that it is gone is not gone yet; nothing starts it again."""
    is_full = [True]
    refuse(monkeypatch, "bury", while_so=lambda: is_full[0])
    await running.assign(order(serial=2, desired="Destroyed"))
    await running.told(GUEST, "HostDiskFull")
    assert running.driver.running() == set()
    is_full[0] = False
    await running.told(GUEST, "Destroyed", outcome="Destroyed")
    assert running.driver.starts[GUEST] == 1


async def test_while_a_person_at_the_host_stops_a_guest(
    running: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wish that cannot be kept would be over at the next start of the agent: it is refused, and says why."""
    is_full = [True]
    refuse(monkeypatch, "put", while_so=lambda: is_full[0])
    stop = Question(verb=Verb.STOP, guest=GUEST, by="root")
    with pytest.raises(InnkeeperError, match="database or disk is full"):
        await ask(StatePaths(running.directory), stop, clock=SystemClock())
    await settled(running.driver.running)
    assert running.driver.running() == {GUEST}
    is_full[0] = False
    await ask(StatePaths(running.directory), stop, clock=SystemClock())
    await running.told(GUEST, "StoppedAtHost")
    assert running.driver.running() == set()


async def test_while_a_person_at_the_host_forgets_a_guest(
    running: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its tombstone it would come back: it is held as before, with its disk, until it is said again."""
    paths, is_full = StatePaths(running.directory), [True]
    await ask(paths, Question(verb=Verb.STOP, guest=GUEST, by="root"), clock=SystemClock())
    await running.told(GUEST, "StoppedAtHost")
    refuse(monkeypatch, "bury", while_so=lambda: is_full[0])
    forget = Question(verb=Verb.FORGET, guest=GUEST, by="root")
    with pytest.raises(InnkeeperError, match="database or disk is full"):
        await ask(paths, forget, clock=SystemClock())
    [held] = (await ask(paths, Question(verb=Verb.LIST, guest="", by="root"), clock=SystemClock())).guests
    assert (held.guest_id, running.disk(GUEST).exists()) == (GUEST, True)
    is_full[0] = False
    await ask(paths, forget, clock=SystemClock())
    await running.told(GUEST, "ForgottenAtHost", outcome="Destroyed")


@pytest.mark.parametrize("damaged", [False, True])
async def test_as_the_agent_starts(
    running: AgentHost, monkeypatch: pytest.MonkeyPatch, *, damaged: bool
) -> None:
    """Whoever it was cannot be kept for the next agent: this one is heard all the same, and tells of its guests."""
    await running.kill()
    keep = Store.keep_meta

    async def kept(store: Store, **settings: str) -> None:
        if "heartbeat_identity" in settings:
            path = StatePaths(running.directory).database
            raise StoreDamagedError(path, "malformed") if damaged else StoreUnusableError("full")
        await keep(store, **settings)

    monkeypatch.setattr(Store, "keep_meta", kept)
    running.driver.crash(GUEST)
    running.start()
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    await running.assign(order(2))
    await running.told(OTHER, "Running")
