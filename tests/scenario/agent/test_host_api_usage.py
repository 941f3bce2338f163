"""The host API tells how much guests take, or why it cannot."""

from pathlib import Path

import msgspec
from kit import host_api as trial

from innkeeper.agent.drivers.driver import DriverError
from innkeeper.agent.store.store import Store
from innkeeper.domain.host_usage import GuestUsage, HostUsage
from tests.kit.clock import ManualClock
from tests.kit.host_api import HOST, HostFiles, ask, context
from tests.kit.waiting import eventually
from tests.scenario.agent.test_host_api import AT, listening, reason


async def test_usage_is_told_or_why_not(tmp_path: Path) -> None:
    answers = [DriverError("libvirt did not answer")]

    async def usage() -> HostUsage:
        if answers:
            raise answers.pop()
        guest = GuestUsage(guest_id="g1", cpu_millis=250, memory_bytes=1 << 30)
        return HostUsage(host=HOST, at=AT, window_s=1.0, guests=[guest])

    vouching, files, clock = trial.authority(tmp_path), HostFiles(tmp_path / "files"), ManualClock()
    files.fill(vouching)
    store = await Store.open(tmp_path / "agent.db", host=HOST, new_id="id-1")
    async with listening(files, store, clock, usage=usage) as (listener, _):
        await eventually(lambda: listener.address)
        tls = context(vouching, trial.operator_pair(vouching))
        assert reason(await ask(str(listener.address), "/v1/usage", tls=tls)) == (503, "DriverFailed")
        answer = await ask(str(listener.address), "/v1/usage", tls=tls)
        found = msgspec.json.decode(answer.body, type=HostUsage)
        assert (answer.status, found.host) == (200, HOST)
        assert [(each.guest_id, each.cpu_millis) for each in found.guests] == [("g1", 250)]
    await store.close()
