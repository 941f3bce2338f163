"""A later agent wrote the store, and an older one is installed: it ends and says what to do, and guests run on."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.schema import STEPS, StoreTooNewError
from innkeeper.clock import SystemClock
from innkeeper.errors import TerminalError
from innkeeper.kube.resources import LEASES
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order

GUEST, LATER = guest_id(), len(STEPS) + 1
ADVICE = (
    rf"version {LATER}, and this agent knows {len(STEPS)}: install the agent that wrote it, or a newer one"
)


@pytest.fixture
async def newer(running: AgentHost) -> AgentHost:
    """A host whose agent was a later one until now; one of its guests runs, and an order to stop it has come."""
    await running.kill()
    with closing(sqlite3.connect(running.directory / "agent.db")) as store:
        store.execute("ALTER TABLE guests ADD COLUMN of_a_later_version TEXT")
        store.execute("INSERT INTO meta (key, value) VALUES ('of a later version', 'kept')")
        store.execute(f"PRAGMA user_version = {LATER}")
        store.commit()
    await running.assign(order(serial=2, desired="Stopped"))
    return running


def holds(host: AgentHost) -> list[str]:
    """Return all that the store holds, as text."""
    with closing(sqlite3.connect(host.directory / "agent.db")) as store:
        return [*store.iterdump(), *map(str, store.execute("PRAGMA user_version"))]


async def test_the_agent_ends_at_once_and_changes_nothing(newer: AgentHost) -> None:
    before = holds(newer)
    heard = await newer.admin.get(LEASES, "heartbeat", namespace=newer.namespace)
    for _ in range(3):  # systemd starts it again and again
        newer.start()
        with pytest.raises(StoreTooNewError, match=ADVICE) as ended:
            await newer.ended()
        assert not ended.value.retryable
        assert "guests run on" in ended.value.message
    assert holds(newer) == before
    assert newer.driver.running() == {GUEST}
    assert (newer.driver.starts[GUEST], newer.driver.stops[GUEST]) == (1, 0)
    now = await newer.admin.get(LEASES, "heartbeat", namespace=newer.namespace)
    assert now.spec.renew_time == heard.spec.renew_time, "it does not pass for an agent that works"


async def test_nor_does_a_person_at_the_host_change_it(newer: AgentHost) -> None:
    before = holds(newer)
    for verb in (Verb.LIST, Verb.STOP, Verb.START):
        question = Question(verb=verb, guest=GUEST, by="root")
        with pytest.raises(TerminalError, match=ADVICE):
            await ask(StatePaths(newer.directory), question, clock=SystemClock())
    assert holds(newer) == before
    assert newer.driver.running() == {GUEST}


async def test_a_backup_of_its_own_version_serves_it_again(running: AgentHost, tmp_path: Path) -> None:
    """As after an upgrade that is taken back: the files from before it are put in the place of the newer ones."""
    await running.kill()
    files = [each for each in running.directory.glob("agent.db*") if each.is_file()]
    for each in files:
        shutil.copy2(each, tmp_path / f"kept-{each.name}")
    with closing(sqlite3.connect(running.directory / "agent.db")) as store:
        store.execute(f"PRAGMA user_version = {LATER}")
    running.start()
    with pytest.raises(StoreTooNewError):
        await running.ended()
    for each in files:
        (tmp_path / f"kept-{each.name}").replace(each)
    running.start()
    await running.assign(order(serial=2, spec={"restart_policy": "OnFailure"}))
    await running.told(GUEST, "Running")
    assert running.driver.starts[GUEST] == 1
