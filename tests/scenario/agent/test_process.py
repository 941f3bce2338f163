"""The process `innkeeper agent`: joins by its file, serves its health, ends at a signal, and says what is wrong."""

import asyncio
import base64
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from kit import ports

from innkeeper.agent.store.store import Store
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import HOST, SIGNER, STORE, guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()
PROGRAM = [sys.executable, "-c", "from innkeeper.cli.main import app; app()", "agent"]


async def started(*options: str, **more: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *options, env=environment, stderr=asyncio.subprocess.PIPE
    )


def join_file(host: AgentHost, directory: Path) -> Path:
    """Write what the process of an agent joins by; it has yet to start, which a test waits for too."""
    host.told_within_s = 60
    (directory / "token").write_text(host.api.new_token("system:serviceaccount:host-inn-a:agent"))
    document = {
        "host": HOST,
        "server": host.api.url,
        "tokenFile": "token",
        "orderKeys": {SIGNER.key_id: base64.b64encode(SIGNER.public_key).decode()},
    }
    path = directory / "join.json"
    path.write_text(json.dumps(document))
    return path


async def test_it_joins_works_is_ready_and_ends_at_a_signal(host: AgentHost, tmp_path: Path) -> None:
    (port,) = ports.choose(1, address="127.0.0.1")
    state = tmp_path / "state"
    await (await Store.open(state / "agent.db", host=HOST, new_id=STORE)).close()
    process = await started(
        *("--join-file", str(join_file(host, tmp_path)), "--state-dir", str(state)),
        *("--driver", "simulated", "--metrics-port", str(port)),
    )
    try:
        await host.assign(order())
        await host.told(GUEST, "Running")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/readyz") as answer:
                assert answer.status == 200, await answer.text()
            async with session.get("/metrics") as answer:
                assert "innkeeper_agent_guests 1.0" in await answer.text()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()
    assert b"guest_built" in log
    assert b"own_ms" in log
    assert b"Traceback" not in log


async def test_it_says_in_one_line_why_it_cannot_start(tmp_path: Path) -> None:
    process = await started("--join-file", str(tmp_path / "none.json"), "--state-dir", str(tmp_path))
    _, log = await process.communicate()
    assert process.returncode == 1
    missing = tmp_path / "none.json"
    said = f"innkeeper agent: the join file cannot be read: [Errno 2] No such file or directory: '{missing}'"
    assert log.decode().splitlines() == [said]


async def test_wrong_options_are_told_by_name() -> None:
    process = await started("--host", "Not A Host")
    _, log = await process.communicate()
    assert process.returncode == 2
    assert "--host" in log.decode()


async def test_readiness_waits_for_the_api_server(host: AgentHost, tmp_path: Path) -> None:
    (port,) = ports.choose(1, address="127.0.0.1")
    path = join_file(host, tmp_path)
    await host.api.down()
    process = await started(
        *("--join-file", str(path), "--state-dir", str(tmp_path / "state")),
        *("--driver", "simulated", "--metrics-port", str(port)),
    )

    async def status(url: str) -> tuple[int, str]:
        try:
            async with aiohttp.request("GET", f"http://127.0.0.1:{port}{url}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def waits() -> bool:
        code, text = await status("/readyz")
        return code == 503 and "watch-assignments" in text and "hypervisor" not in text

    try:
        await eventually(waits, deadline_s=60)
        assert (await status("/healthz"))[0] == 200
        await host.api.up()

        async def ready() -> bool:
            return (await status("/readyz"))[0] == 200

        await eventually(ready, deadline_s=60)
    finally:
        process.terminate()
        await process.communicate()


@pytest.mark.parametrize("fault", ["missing", "hangs"])
async def test_a_fault_of_backups_alone_keeps_no_guest_from_its_start(
    host: AgentHost, tmp_path: Path, fault: str
) -> None:
    """A file of credentials lies on a mount that is late, or whose server is gone."""
    file, state = tmp_path / "credentials", tmp_path / "state"
    if fault == "hangs":
        os.mkfifo(file)  # opening it to read has no end
    (port,) = ports.choose(1, address="127.0.0.1")
    await (await Store.open(state / "agent.db", host=HOST, new_id=STORE)).close()
    process = await started(
        *("--join-file", str(join_file(host, tmp_path)), "--state-dir", str(state)),
        *("--driver", "simulated", "--metrics-port", str(port), "--backup-url", "s3://bucket/hosts"),
        AWS_SHARED_CREDENTIALS_FILE=str(file),
    )

    async def failed() -> bool:
        async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
            told = await answer.text()
        one = 'innkeeper_agent_backups_total{outcome="failed"} 1.0'
        return one in told and "innkeeper_agent_backup_failing 1.0" in told

    try:
        await host.assign(order())
        await host.told(GUEST, "Running")
        if fault == "missing":
            await eventually(failed, deadline_s=60)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()
    assert b"Traceback" not in log


async def test_a_place_for_backups_that_its_words_rule_out_is_refused_at_once() -> None:
    process = await started("--host", HOST, "--order-key-file", "key", "--backup-url", "s3://bucket/../x")
    _, log = await process.communicate()
    assert process.returncode == 2
    assert "--backup-url" in log.decode()
    assert "write s3://BUCKET/PREFIX" in log.decode()
