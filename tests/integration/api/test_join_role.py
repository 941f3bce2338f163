"""Who holds innkeeper-join in one host's namespace, and innkeeper-host-view: a machine joins by it, and that is all.

The program of the how-to does it, with a token of a person's own.
"""

import base64
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import NAMESPACES
from tests.integration.api.conftest import Answer, Server
from tests.integration.api.objects import good
from tests.kit import host_identities as identities
from tests.kit import joining
from tests.kit.install import kubeconfig_of, run
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

OURS = "/apis/innkeeper.dev/v1alpha1"


@dataclass(frozen=True)
class Joiner:
    """A person with the two roles that join-a-host.md names; `host` is the one that the person may make join."""

    server: Server
    kubeconfig: Path
    user: str
    host: str
    other: str

    def ask(self, method: str, path: str) -> Answer:
        """Ask as that person; what is written is only tried."""
        body = {"metadata": {"name": "x"}} if method == "POST" else None
        return self.server.request(method, f"{path}?dryRun=All", body, user=self.user)

    def is_bound(self) -> bool:
        """Tell whether the API server has taken up both bindings."""
        seen = (f"{OURS}/hosts/{self.host}", f"{OURS}/namespaces/host-{self.host}/hostagents/host")
        return all(self.ask("GET", path).status == 200 for path in seen)


@pytest.fixture
async def joiner(server: Server, tmp_path: Path) -> AsyncIterator[Joiner]:
    kubeconfig, home = server.kubeconfig, f"people-{uuid.uuid4().hex[:8]}"
    host, other, subject = f"{home}-a", f"{home}-b", f"--serviceaccount={home}:joiner"
    async with Client(Credentials.from_kubeconfig(kubeconfig)) as admin:
        for each in (host, other):
            await identities.make_identity(admin, each)
            server.stored(good("Host", each))
            server.stored(good("HostAgent") | {"metadata": {"name": "host", "namespace": f"host-{each}"}})
        run(kubeconfig, "create", "namespace", home)
        run(kubeconfig, "create", "serviceaccount", "joiner", f"--namespace={home}")
        run(kubeconfig, "create", "clusterrolebinding", home, "--clusterrole=innkeeper-host-view", subject)
        place = f"--namespace=host-{host}"
        run(kubeconfig, "create", "rolebinding", "join", "--clusterrole=innkeeper-join", subject, place)
        file = kubeconfig_of(
            kubeconfig, namespace=home, service_account="joiner", to=tmp_path / "joiner.kubeconfig"
        )
        found = Joiner(server, file, f"system:serviceaccount:{home}:joiner", host, other)
        await eventually(found.is_bound, deadline_s=60)
        yield found
        run(kubeconfig, "delete", "clusterrolebinding", home)
        for each in (host, other):
            server.discard(good("Host", each))
        await identities.remove(admin, host, other)
        await admin.delete(NAMESPACES, home)


async def test_it_makes_a_join_token_and_takes_it_back(joiner: Joiner) -> None:
    said = await joining.run("kubectl-guest", "join-token", joiner.host, kubeconfig=joiner.kubeconfig)
    assert said.code == 0, said.err
    assert json.loads(base64.b64decode(said.out))["host"] == joiner.host
    run(joiner.kubeconfig, "delete", "secret", "agent-join", f"--namespace=host-{joiner.host}")


async def test_it_opens_no_other_host(joiner: Joiner) -> None:
    said = await joining.run("kubectl-guest", "join-token", joiner.other, kubeconfig=joiner.kubeconfig)
    assert (said.code, said.out) == (1, "")
    assert "forbidden" in said.err


async def test_it_does_no_more(joiner: Joiner) -> None:
    here, there = (f"namespaces/host-{each}" for each in (joiner.host, joiner.other))
    asked = [
        ("GET", f"/api/v1/{here}/secrets"),
        ("GET", f"/api/v1/{here}/secrets/agent-join"),
        ("DELETE", f"/api/v1/{here}/secrets/user-data-1"),
        ("POST", f"/api/v1/{here}/serviceaccounts"),
        ("POST", f"/api/v1/{here}/serviceaccounts/default/token"),
        ("POST", f"/api/v1/{there}/serviceaccounts/agent/token"),
        ("POST", f"/api/v1/{there}/secrets"),
        ("POST", "/api/v1/namespaces/kube-system/secrets"),
        ("GET", f"{OURS}/{here}/assignments"),
        ("POST", f"{OURS}/{here}/hostagents"),
        ("DELETE", f"{OURS}/hosts/{joiner.host}"),
        ("GET", f"{OURS}/guests"),
    ]
    answers = {(method, path): joiner.ask(method, path) for method, path in asked}
    assert {each.status for each in answers.values()} == {403}, {
        key: each.status for key, each in answers.items()
    }
    assert all(f'User "{joiner.user}" cannot' in each.message for each in answers.values())
