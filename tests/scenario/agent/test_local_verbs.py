"""A person at the host, with and without an agent and an API server: list, stop, start, forget."""

import asyncio
import json
import shutil
import stat
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from innkeeper.agent.local.asking import NoStoreError, ask
from innkeeper.agent.local.messages import MAX_QUESTION_BYTES, Answer, GuestLine, Question, Verb
from innkeeper.agent.local.wishes import NotPossibleError
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.store.records import GuestRecord
from innkeeper.agent.store.store import Store
from innkeeper.clock import SystemClock
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually, settled

GUEST = guest_id()


async def say(host: AgentHost, verb: Verb, guest: str = GUEST) -> Answer:
    question = Question(verb=verb, guest=guest, by="root")
    return await ask(StatePaths(host.directory), question, clock=SystemClock())


async def listed(host: AgentHost) -> GuestLine:
    [line] = (await say(host, Verb.LIST, "")).guests
    return line


async def stopped(host: AgentHost) -> None:
    await say(host, Verb.STOP)
    await eventually(lambda: host.driver.running() == set())
    told = await host.told(GUEST, "StoppedAtHost")
    assert told.status == "False"
    assert "root" in told.message


async def test_a_stop_at_the_host_stands_until_somebody_there_starts_it(running: AgentHost) -> None:
    await stopped(running)
    await running.assign(order(serial=2, spec={"restart_policy": "OnFailure"}))
    await running.told(GUEST, "StoppedAtHost")
    await running.kill()
    running.reboot()
    running.start()
    await running.told(GUEST, "StoppedAtHost")
    assert running.driver.running() == set()
    assert (await listed(running)).reason == "StoppedAtHost"
    await say(running, Verb.START)
    assert (await running.told(GUEST, "Running")).status == "True"
    assert running.driver.starts[GUEST] == 2


async def test_an_order_that_changes_the_power_ends_it(running: AgentHost) -> None:
    await stopped(running)
    await running.assign(order(serial=2, desired="Stopped"))
    assert (await running.told(GUEST, "Stopped")).status == "True"
    await running.assign(order(serial=3))
    await running.told(GUEST, "Running")


async def test_a_stop_at_the_host_beside_a_newer_order_is_not_lost(
    running: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, goes_on, put = asyncio.Event(), asyncio.Event(), Store.put

    async def slow(store: Store, record: GuestRecord, **options: Any) -> None:
        if record.wish is not None and not goes_on.is_set():
            writing.set()
            await goes_on.wait()
        await put(store, record, **options)

    monkeypatch.setattr(Store, "put", slow)
    updates = partial(
        running.registry.get_sample_value, "innkeeper_agent_orders_total", {"meaning": "update"}
    )
    before = updates() or 0
    stopping = asyncio.create_task(say(running, Verb.STOP))
    await writing.wait()
    await running.assign(order(serial=2, spec={"restart_policy": "OnFailure"}))
    await eventually(lambda: (updates() or 0) > before)
    goes_on.set()
    await stopping
    await running.told(GUEST, "StoppedAtHost")
    line = await listed(running)
    assert (line.serial, line.reason) == (2, "StoppedAtHost")
    assert running.driver.running() == set()


async def test_all_of_it_works_while_the_api_server_is_away(running: AgentHost) -> None:
    await running.api.down()
    await say(running, Verb.STOP, "guests/web-1")
    await eventually(lambda: running.driver.running() == set())

    async def is_off() -> bool:
        line = await listed(running)
        return (line.machine, line.reason) == ("Completed", "StoppedAtHost")

    await eventually(is_off)
    await say(running, Verb.START, "guests/web-1")
    await eventually(lambda: running.driver.running() == {GUEST})


async def test_without_an_agent_the_wish_is_kept_and_carried_out_later(running: AgentHost) -> None:
    await running.kill()
    assert "kept" in (await say(running, Verb.STOP)).said
    assert running.driver.running() == {GUEST}, "nobody is there to stop it"
    line = await listed(running)
    assert (line.reason, line.machine) == ("StoppedAtHost", None)
    running.start()
    await running.told(GUEST, "StoppedAtHost")
    assert running.driver.running() == set()
    await running.kill()
    await say(running, Verb.START)
    running.start()
    await running.told(GUEST, "Running")


async def test_a_guest_that_rests_is_started(host: AgentHost) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    host.driver.power_off(GUEST)
    await host.told(GUEST, "Completed")
    await say(host, Verb.START)
    await host.told(GUEST, "Running")
    assert host.driver.starts[GUEST] == 2


@pytest.mark.parametrize(
    ("changes", "reason", "told"),
    [
        ({"serial": 2, "desired": "Stopped"}, "Stopped", "spec.power"),
        ({"epoch": 2, "desired": "Superseded"}, "Superseded", "another host"),
    ],
)
async def test_nobody_starts_here_what_an_order_wants_off(
    running: AgentHost, changes: dict[str, object], reason: str, told: str
) -> None:
    await running.assign(order(**changes))
    await running.told(GUEST, reason)
    with pytest.raises(NotPossibleError, match=told):
        await say(running, Verb.START)
    await settled(lambda: running.driver.starts[GUEST])
    assert running.driver.starts[GUEST] == 1


async def test_a_guest_that_was_refused_is_not_forgotten(running: AgentHost) -> None:
    """Nothing of it is here; a tombstone in place of the refusal would keep it from being placed elsewhere."""
    await running.assign(order(2, addresses=order().addresses))

    async def is_refused() -> bool:
        return (await running.assignment(guest_id(2))).status.outcome == "Refused"

    await eventually(is_refused)
    with pytest.raises(NotPossibleError, match="refused the guest, and holds nothing of it"):
        await say(running, Verb.FORGET, guest_id(2))
    assert await is_refused()


async def test_a_name_that_no_guest_or_more_than_one_has_is_refused(running: AgentHost) -> None:
    twin = order(2, name="web-1")
    await running.assign(twin)
    await running.told(guest_id(2), "Running")
    with pytest.raises(NotPossibleError, match="by its ID"):
        await say(running, Verb.STOP, "guests/web-1")
    with pytest.raises(NotPossibleError, match="as `list` shows"):
        await say(running, Verb.STOP, "guests/nobody")
    assert running.driver.running() == {GUEST, guest_id(2)}


async def test_a_forgotten_guest_leaves_its_files_and_an_honest_report(running: AgentHost) -> None:
    running.disk(GUEST).write_text("what the guest wrote")
    with pytest.raises(NotPossibleError, match="stop it first"):
        await say(running, Verb.FORGET)
    await stopped(running)
    await say(running, Verb.FORGET)
    told = await running.told(GUEST, "ForgottenAtHost", outcome="Destroyed")
    assert "not deleted" in told.message
    kept = running.directory / "forgotten" / GUEST / "disk.qcow2"
    assert kept.read_text() == "what the guest wrote"
    assert running.driver.spec(GUEST) is None
    assert (await say(running, Verb.LIST, "")).guests == []
    await running.assign(order(serial=2))
    await running.told(GUEST, "ForgottenAtHost", outcome="Destroyed")
    await running.kill()
    running.start()
    await running.assign(order(serial=3, desired="Destroyed"))
    await running.told(GUEST, "ForgottenAtHost", outcome="Destroyed")
    assert running.driver.starts[GUEST] == 1
    assert kept.exists()


async def test_a_forgotten_guest_that_is_ordered_anew_by_a_higher_epoch_begins_with_a_new_disk(
    running: AgentHost,
) -> None:
    await stopped(running)
    await say(running, Verb.FORGET)
    await running.assign(order(epoch=2))
    await running.told(GUEST, "Running")
    assert running.disk(GUEST).read_text() == "a new disk"
    await stopped(running)
    await say(running, Verb.FORGET)
    names = {path.name for path in (running.directory / "forgotten").iterdir()}
    assert names == {GUEST, f"{GUEST}.1"}, "what was set aside before is kept"


async def test_where_guests_have_a_file_system_of_their_own_their_files_stay_on_it(
    running: AgentHost, own_file_system: Path
) -> None:
    await stopped(running)
    await running.kill()
    guests = running.directory / "guests"
    shutil.copytree(guests, own_file_system, dirs_exist_ok=True)
    shutil.rmtree(guests)
    guests.symlink_to(own_file_system)
    running.disk(GUEST).write_text("what the guest wrote")
    running.start()
    await eventually(StatePaths(running.directory).socket.exists)
    await say(running, Verb.FORGET)
    aside = StatePaths(running.directory).forgotten(GUEST)
    assert (aside / "disk.qcow2").read_text() == "what the guest wrote"
    assert aside.resolve() == own_file_system / ".forgotten" / GUEST
    assert not running.disk(GUEST).exists()
    await running.assign(order(epoch=2))
    await running.told(GUEST, "Running")
    assert running.disk(GUEST).read_text() == "a new disk"
    await stopped(running)
    await say(running, Verb.FORGET)
    assert {path.name for path in aside.parent.iterdir()} == {GUEST, f"{GUEST}.1"}


@pytest.fixture
def own_file_system(tmp_path: Path) -> Iterator[Path]:
    """Make a directory that no file of the state directory can be moved to by a rename."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as there:
        assert Path(there).stat().st_dev != tmp_path.stat().st_dev
        yield Path(there)


async def test_nothing_is_forgotten_without_an_agent(running: AgentHost) -> None:
    await running.kill()
    with pytest.raises(NotPossibleError, match="no agent runs"):
        await say(running, Verb.FORGET)


async def test_a_directory_without_a_store_is_told_and_left_as_it_is(host: AgentHost) -> None:
    empty = host.directory / "empty"
    with pytest.raises(NoStoreError, match="--state-dir"):
        await ask(StatePaths(empty), Question(verb=Verb.LIST), clock=SystemClock())
    assert not empty.exists()


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b'{"verb":"rm"}\n', b"x" * (MAX_QUESTION_BYTES + 10) + b"\n"]
)
async def test_what_cannot_be_read_is_answered_and_disturbs_nobody(running: AgentHost, line: bytes) -> None:
    path = StatePaths(running.directory).socket
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    answer = json.loads(await reader.readline())
    writer.close()
    assert "cannot be read" in answer["error"]
    assert (await listed(running)).reason == "Running"


@pytest.mark.parametrize("killed", ["before the files were moved", "before their image was noted"])
async def test_what_a_killed_forget_left_is_set_aside_at_the_next_start(
    running: AgentHost, killed: str
) -> None:
    running.disk(GUEST).write_text("what the guest wrote")
    await stopped(running)
    await say(running, Verb.FORGET)
    await running.kill()
    aside = StatePaths(running.directory).forgotten(GUEST)
    running.images.aside.clear()
    if killed == "before the files were moved":
        aside.rename(running.disk(GUEST).parent)
    running.start()
    await eventually(lambda: running.images.aside == {GUEST})
    assert (aside / "disk.qcow2").read_text() == "what the guest wrote"
    await running.assign(order(epoch=2))
    await running.told(GUEST, "Running")
    assert running.disk(GUEST).read_text() == "a new disk"
    await running.kill()
    running.start()
    await running.assign(order(epoch=2, serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
    assert running.disk(GUEST).exists(), "a guest that is here again keeps its files"


async def test_files_that_cannot_be_set_aside_keep_no_guest_from_its_start(running: AgentHost) -> None:
    await running.assign(order(2))
    await running.told(guest_id(2), "Running")
    await stopped_of_two(running)
    await running.kill()
    aside = StatePaths(running.directory).forgotten(GUEST)
    aside.rename(running.disk(GUEST).parent)
    aside.parent.rmdir()
    aside.parent.write_text("no directory")
    running.reboot()
    running.start()
    await eventually(lambda: running.driver.running() == {guest_id(2)})
    assert running.disk(GUEST).exists()


async def stopped_of_two(host: AgentHost) -> None:
    """The first of two guests was stopped and forgotten at the host."""
    await say(host, Verb.STOP)
    await host.told(GUEST, "StoppedAtHost")
    await eventually(lambda: host.driver.running() == {guest_id(2)})
    await say(host, Verb.FORGET)
