"""What a guest wrote to its console, as its host's agent tells the operator: its end, or what came since."""

from pathlib import Path

from kit import host_api as trial

from innkeeper.hosts.client import Agents, ClientFiles
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id
from tests.kit.host_api import HOST, ask, context, with_a_guest


async def test_the_console_of_a_guest_that_is_here_can_be_read(host: AgentHost, tmp_path: Path) -> None:
    vouching, address = await with_a_guest(host, tmp_path)
    host.disk(guest_id()).with_name("console.log").write_bytes(b"booted\x1b[0m\xff\nlogin: ")
    tls = context(vouching, trial.operator_pair(vouching))
    whole = await ask(address, f"/v1/guests/{guest_id()}/console", tls=tls)
    assert (whole.status, whole.body) == (200, b"booted\x1b[0m\xff\nlogin: ")
    part = await ask(address, f"/v1/guests/{guest_id()}/console?bytes=7", tls=tls)
    assert part.body == b"login: "
    for wrong in ("7", "7-7", "x-1-1", "-1-2-3", "7-7-7-7", "7-7-7%0a"):
        answer = await ask(address, f"/v1/guests/{guest_id()}/console?after={wrong}", tls=tls)
        assert answer.status == 400, wrong
    for unknown in (guest_id(2), "..", "%2e%2e%2fagent.db"):
        answer = await ask(address, f"/v1/guests/{unknown}/console", tls=tls)
        assert answer.status == 404, unknown


async def test_who_follows_a_console_gets_what_came_since(host: AgentHost, tmp_path: Path) -> None:
    vouching, address = await with_a_guest(host, tmp_path)
    operator = trial.operator_pair(vouching)
    log = host.disk(guest_id()).with_name("console.log")
    own = ClientFiles(authority=vouching.own.certificate, certificate=operator.certificate, key=operator.key)
    async with Agents(own) as agents:
        reader = agents.reader(HOST, address)
        log.write_bytes(b"booted\n")
        first = await reader.console(guest_id(), max_bytes=1000, after="")
        with log.open("ab") as opened:
            opened.write(b"login: ")
        then = await reader.console(guest_id(), max_bytes=1000, after=first.end)
        cut = await reader.console(guest_id(), max_bytes=3, after=first.end)
    assert (first.written, then.written, then.is_some_left_out) == (b"booted\n", b"login: ", False)
    assert (cut.written, cut.is_some_left_out) == (b"n: ", True)
