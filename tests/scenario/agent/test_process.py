"""The process `innkeeper agent`: joins by its file, serves its health, ends at a signal, and says what is wrong."""

import asyncio
import base64
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
from kit import ports

from innkeeper.agent.store.store import Store
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import HOST, SIGNER, STORE, guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()
PROGRAM = [sys.executable, "-c", "from innkeeper.cli.main import app; app()", "agent"]


async def started(*options: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *options, env=environment, stderr=asyncio.subprocess.PIPE
    )


def join_file(host: AgentHost, directory: Path) -> Path:
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
        async with asyncio.timeout(10):
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
        await eventually(waits)
        assert (await status("/healthz"))[0] == 200
        await host.api.up()

        async def ready() -> bool:
            return (await status("/readyz"))[0] == 200

        await eventually(ready, deadline_s=20)
    finally:
        process.terminate()
        await process.communicate()
