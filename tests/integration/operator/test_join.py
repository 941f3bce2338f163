"""A machine becomes a host by a join token, and loses that identity; each step as people do it, on a real API server."""

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent import join_file
from innkeeper.agent.joining import string
from innkeeper.agent.joining.join import NotJoinedError, Places, join
from innkeeper.agent.joining.rotation import TokenFigures, TokenRotation
from innkeeper.agent.joining.sources import OwnRight
from innkeeper.clock import SystemClock
from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ForbiddenError, UnauthorizedError
from innkeeper.kube.resources import HOST_AGENTS, SECRETS
from tests.integration.operator import scene
from tests.kit import joining
from tests.kit.clock import ManualClock
from tests.kit.host_identities import who_am_i
from tests.kit.joining import Machine, Said
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.usefixtures("operator")]


@dataclass(frozen=True)
class Admin:
    """The administrator at kubectl."""

    client: Client
    kubeconfig: Path

    async def join_token(self, host: str, *options: str) -> Said:
        """Run `kubectl guest join-token`."""
        words = ("join-token", host, *options)
        return await joining.run("kubectl-guest", *words, kubeconfig=self.kubeconfig)

    async def line(self, host: str) -> str:
        """Return the line for a host."""
        said = await self.join_token(host)
        assert said.code == 0, said.err
        return said.out.strip()

    async def revoke(self, host: str) -> None:
        """End all tokens of a host, as the how-to says."""
        place = names.host_namespace(host)
        await self.client.delete(SECRETS, names.AGENT_JOIN_SECRET, namespace=place)


@pytest.fixture
async def at_kubectl(admin: Client, kubeconfigs: tuple[Path, Path]) -> Admin:
    return Admin(admin, kubeconfigs[0])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "a")


async def test_a_machine_joins_and_may_join_again(at_kubectl: Admin, machine: Machine, name: str) -> None:
    await scene.infrastructure(at_kubectl.client, name)
    line = await at_kubectl.line(name)
    said = await machine.join(line)
    assert said.code == 0, said.err
    assert f"This machine is the host {name}" in said.err
    assert "systemctl enable --now innkeeper-agent" in said.err
    first = machine.token
    assert first.expires - first.issued == timedelta(days=30)
    for file in (machine.join_file, machine.token_file):
        assert file.stat().st_mode & 0o777 == 0o600
    async with machine.client() as agent:
        assert await who_am_i(agent) == f"system:serviceaccount:host-{name}:agent"
        orders = await agent.get(HOST_AGENTS, "host", namespace=names.host_namespace(name))
    pinned = join_file.read_join_file(machine.join_file).order_keys
    assert pinned == {each.id: each.public_key for each in orders.spec.order_keys}
    again = await machine.join(line)
    assert again.code == 0, again.err
    assert machine.token.value != first.value


async def test_the_line_holds_a_short_token_and_nothing_of_the_admins(at_kubectl: Admin, name: str) -> None:
    await scene.infrastructure(at_kubectl.client, name)
    said = await at_kubectl.join_token(
        name, "--ttl", "600", "--server", "https://api.example.org:6443", "--tls-server-name", "kubernetes"
    )
    assert said.code == 0, said.err
    document = json.loads(base64.b64decode(said.out))
    assert sorted(document) == ["caData", "host", "orderKeys", "server", "tlsServerName", "token", "version"]
    assert (document["server"], document["tlsServerName"]) == ("https://api.example.org:6443", "kubernetes")
    token = string.decode(said.out).join_token
    assert token.expires - token.issued == timedelta(minutes=10)
    assert (token.namespace, token.account) == (f"host-{name}", "agent")


async def test_a_host_that_nobody_made_gets_no_token(at_kubectl: Admin, name: str) -> None:
    said = await at_kubectl.join_token(name)
    assert (said.code, said.out) == (1, "")
    assert f"there is no Host {name}: apply one first" in said.err


async def test_a_revoked_line_joins_nobody_and_ends_who_joined_by_it(
    at_kubectl: Admin, machine: Machine, name: str, tmp_path: Path
) -> None:
    await scene.infrastructure(at_kubectl.client, name)
    line = await at_kubectl.line(name)
    assert (await machine.join(line)).code == 0
    await at_kubectl.revoke(name)
    async with machine.client() as agent:
        await eventually(lambda: _is_over(agent), deadline_s=60)
    thief = Machine(tmp_path / "thief")
    said = await thief.join(line)
    assert said.code == 1
    assert "was revoked" in said.err
    assert f"kubectl guest join-token {name}" in said.err
    assert not thief.join_file.exists(), "a join that fails leaves nothing"
    assert not thief.token_file.exists()
    assert (await machine.join(await at_kubectl.line(name))).code == 0, "a new line brings the host back"
    async with machine.client() as agent:
        await who_am_i(agent)


async def test_a_line_that_is_over_says_until_when_it_was_good(
    at_kubectl: Admin, machine: Machine, name: str
) -> None:
    await scene.infrastructure(at_kubectl.client, name)
    given = string.decode(await at_kubectl.line(name))
    clock = ManualClock(given.join_token.expires + timedelta(seconds=1))
    with pytest.raises(NotJoinedError, match=r"was good until .* set the clock, or make a new one"):
        await join(given, Places(machine.join_file, machine.token_file), clock=clock)
    assert not machine.join_file.exists()


async def test_no_host_takes_the_place_of_another(
    at_kubectl: Admin, machine: Machine, name: str, tmp_path: Path
) -> None:
    other = f"{name}b"
    await scene.infrastructure(at_kubectl.client, name)
    await scene.infrastructure(at_kubectl.client, other)
    mine, others = await at_kubectl.line(name), await at_kubectl.line(other)
    assert (await machine.join(mine)).code == 0
    before = machine.join_file.read_text()
    refused = await machine.join(others)
    assert refused.code == 1
    assert f"this machine joined as {name}, and the token is for {other}" in refused.err
    assert machine.join_file.read_text() == before
    document = json.loads(base64.b64decode(mine)) | {"host": other}
    forged = base64.b64encode(json.dumps(document).encode()).decode()
    said = await Machine(tmp_path / "b").join(forged)
    assert f"its token is not one of the host {other}" in said.err
    async with machine.client() as agent:
        with pytest.raises(ForbiddenError):
            await OwnRight(agent, host=other).ask()
    assert (await machine.join(others, "--replace")).code == 0
    assert join_file.read_join_file(machine.join_file).host == other


async def test_a_host_renews_its_token_by_itself_long_before_it_ends(
    at_kubectl: Admin, machine: Machine, name: str
) -> None:
    """The clock is turned to the day on which the agent asks; the API server gives the token, and takes it."""
    await scene.infrastructure(at_kubectl.client, name)
    assert (await machine.join(await at_kubectl.line(name))).code == 0
    first = machine.token
    clock = ManualClock(first.issued + timedelta(days=9))
    async with machine.client() as agent:
        source, figures = OwnRight(agent, host=name), TokenFigures(CollectorRegistry())
        rotation = TokenRotation(machine.token_file, source, clock=clock, figures=figures)
        await rotation.step()
        assert machine.token.value == first.value, "it is young"
        clock.advance(timedelta(days=2).total_seconds())
        await rotation.step()
        assert machine.token.value != first.value
        assert await who_am_i(agent) == f"system:serviceaccount:host-{name}:agent"
    assert SystemClock().now() < machine.token.after(1 / 3)


async def _is_over(agent: Client) -> bool:
    try:
        await who_am_i(agent)
    except UnauthorizedError:
        return True
    return False
