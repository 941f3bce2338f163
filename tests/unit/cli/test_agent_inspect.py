"""`innkeeper agent inspect`: all that a store holds, with an agent at work, without one, and when it is damaged."""

import asyncio
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from innkeeper.agent.host_orders import HostOrders
from innkeeper.agent.store import schema
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import GuestRecord, Life, LocalPower, LocalWish, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.cli.main import app
from innkeeper.domain.host_store import Step
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OperationPhase, OrderOutcome
from innkeeper.views.guest import UserData
from innkeeper.views.host import HostAgent, HostAgentSpec, Network
from innkeeper.views.meta import Meta
from tests.kit.agent_orders import SIGNER, guest_id, order

AT, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"
GUEST, GONE, FORGOTTEN = guest_id(1), guest_id(2), guest_id(3)
SAID = order(
    1,
    spec={"user_data": UserData(inline="the secret of this guest")},
    labels={"team": "blue"},
    annotations={"ticket": "4711"},
)
ENDED = order(2, serial=7, desired="Destroyed")


def inspect(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["agent", "inspect", "--state-dir", str(directory), *options])


def inspect_json(directory: Path) -> Any:
    answer = inspect(directory, "-o", "json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


async def filled(path: Path) -> Store:
    store = await Store.open(path, host="inn-a", new_id="id-1")
    spec = HostAgentSpec(cluster="lab", network=Network(bridge="br7"))
    await HostOrders(store, {}).update(HostAgent(metadata=Meta(name="host"), spec=spec))
    record = GuestRecord(
        guest_id=GUEST,
        order=SIGNER.sign(SAID),
        rank=SAID.rank,
        namespace=SAID.namespace,
        name=SAID.name,
        outcome=OrderOutcome.ACCEPTED,
        life=Life.UP,
        ready=Ready(True, "Running"),
    )
    steps = [Step(at=AT, reason="Streaming", message="40 %"), Step(at=AT, reason="Running")]
    await store.put(record, what="Accepted Running", at=AT, steps=steps)
    await store.bury(Tombstone(GONE, ENDED.rank, SIGNER.sign(ENDED), ENDED.namespace, ENDED.name), at=AT)
    return store


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    async def make() -> None:
        await (await filled(tmp_path / "agent.db")).close()

    asyncio.run(make())
    return tmp_path


def test_text_tells_what_a_person_looks_for(directory: Path) -> None:
    text = inspect(directory).stdout
    for part in ("inn-a", "id-1", "lines 1 to 2", "1 guests, 1 tombstones", "lab", "br7"):
        assert part in text
    guest = next(line for line in text.splitlines() if line.startswith(GUEST))
    for part in (f"{SAID.namespace}/{SAID.name}", "1.1", "Running", "Accepted", SAID.addresses[0].address):
        assert part in guest
    assert "40 %" in text
    assert next(line for line in text.splitlines() if line.startswith(GONE)).split()[1:3] == [
        f"{ENDED.namespace}/{ENDED.name}",
        "1.7",
    ]
    assert "Accepted Running" in text


async def operated(path: Path) -> None:
    """Have one operation done and one at work."""
    store = await Store.open(path, host="inn-a", new_id="id-1")
    for name in ("reboot-1", "pause-1"):
        kind = name.partition("-")[0].title()
        await store.put_operation(OperationRecord(GUEST, name, kind, OperationPhase.RUNNING, "run-1", AT))
    failed = OperationRecord(
        GUEST, "reboot-1", "Reboot", OperationPhase.FAILED, "run-1", AT, LATER, "NoAnswer", "it hangs"
    )
    await store.put_operation(failed)
    await store.close()


def test_it_tells_what_operations_were_done_and_which_are_at_work(directory: Path) -> None:
    assert "OPERATION" not in inspect(directory).stdout
    asyncio.run(operated(directory / "agent.db"))
    lines = inspect(directory).stdout.splitlines()
    head = next(at for at, line in enumerate(lines) if line.startswith("OPERATION"))
    assert [line.split() for line in lines[head + 1 : head + 3]] == [
        ["reboot-1", GUEST, "Reboot", "Failed", AT, LATER, "NoAnswer:", "it", "hangs"],
        ["pause-1", GUEST, "Pause", "Running", AT, "-", "-"],
    ]
    done, at_work = inspect_json(directory)["operations"]
    assert (done["id"], done["finishedAt"], done["reason"]) == ("reboot-1", LATER, "NoAnswer")
    assert (at_work["id"], at_work["guestId"], at_work["finishedAt"]) == ("pause-1", GUEST, None)


async def at_the_host(path: Path) -> None:
    """Have a person stop one guest and take another one off."""
    store = await Store.open(path, host="inn-a", new_id="id-1")
    [guest] = await store.guests()
    wish = LocalWish(LocalPower.STOPPED, "alice", LATER)
    await store.put(replace(guest, wish=wish), what="Stopped at the host", at=LATER)
    await store.bury(Tombstone(FORGOTTEN, Rank(1, 3), None, "guests", "web-3", f"bob at {LATER}"), at=LATER)
    await store.close()


def test_it_tells_who_stopped_a_guest_here_and_who_took_one_off(directory: Path) -> None:
    assert "alice" not in inspect(directory).stdout
    asyncio.run(at_the_host(directory / "agent.db"))
    text = inspect(directory).stdout.splitlines()
    assert next(line for line in text if line.startswith(GUEST)).endswith(f"Stopped by alice at {LATER}")
    assert next(line for line in text if line.startswith(GONE)).endswith("Destroyed")
    assert next(line for line in text if line.startswith(FORGOTTEN)).endswith(f"Forgotten by bob at {LATER}")
    found = inspect_json(directory)
    assert found["guests"][0]["entry"]["wish"] == {"power": "Stopped", "by": "alice", "at": LATER}
    assert {each["entry"]["guestId"]: each["entry"]["forgotten"] for each in found["tombstones"]} == {
        GONE: "",
        FORGOTTEN: f"bob at {LATER}",
    }


def test_text_tells_image_labels_and_annotations(directory: Path) -> None:
    text = inspect(directory).stdout
    guest = next(line for line in text.splitlines() if line.startswith(GUEST))
    assert SAID.image is not None
    assert f"{SAID.image.namespace}/{SAID.image.name} {SAID.image.digest}" in guest
    lines = [line.split() for line in text.splitlines()]
    assert ["team", "blue"] in lines
    assert ["ticket", "4711"] in lines


def test_text_tells_no_user_data(directory: Path) -> None:
    assert "the secret of this guest" not in inspect(directory).stdout
    assert "the secret of this guest" in inspect(directory, "-o", "json").stdout


def test_json_holds_the_signed_orders(directory: Path) -> None:
    found = inspect_json(directory)
    assert (found["host"], found["storeId"], found["trouble"]) == ("inn-a", "id-1", None)
    assert (found["version"], found["logStart"], found["logEnd"]) == (len(schema.STEPS), 1, 2)
    assert found["settings"]["network"]["bridge"] == "br7"
    assert [each["entry"]["order"] for each in found["guests"]] == [SIGNER.sign(SAID)]
    assert [each["entry"]["order"] for each in found["tombstones"]] == [SIGNER.sign(ENDED)]
    assert [each["what"] for each in found["changes"]] == ["Accepted Running", "Destroyed"]


def test_an_agent_may_be_at_work(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(filled(tmp_path / "agent.db"))
        assert inspect_json(tmp_path)["logEnd"] == 2
        runner.run(store.keep_meta(still="works"))
        runner.run(store.close())


def test_it_changes_nothing(directory: Path) -> None:
    before = {each.name: each.read_bytes() for each in directory.iterdir()}
    inspect(directory)
    after = {each.name: each.read_bytes() for each in directory.iterdir()}
    assert {name: after[name] for name in before} == before


def test_a_database_of_an_earlier_version_is_read_and_stays_so(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "agent.db")
    for statement in schema.STEPS[0]:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('store_id', 'id-old'), ('host', 'inn-a')")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    assert (inspect_json(tmp_path)["storeId"], inspect_json(tmp_path)["version"]) == ("id-old", 1)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_it_says_why_an_agent_would_not_start_and_shows_the_rest(directory: Path) -> None:
    highwater = directory / "agent.db-highwater"
    highwater.write_text(highwater.read_text().replace("2 id-1", "9 id-1"))
    assert "line 9 was committed" in inspect_json(directory)["trouble"]
    text = inspect(directory).stdout
    assert text.startswith("An agent does not start on this: ")
    assert GUEST in text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "there is no database"),
        (b"", "ends before its header"),
        (b"no database " * 100, "not a database"),
    ],
)
def test_it_says_what_is_wrong(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "agent.db").write_bytes(content)
    answer = inspect(tmp_path)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("innkeeper agent inspect: ")
    assert why in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_state_directory_may_come_from_the_environment(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNKEEPER_AGENT_STATE_DIR", str(directory))
    assert "id-1" in CliRunner().invoke(app, ["agent", "inspect"]).stdout
