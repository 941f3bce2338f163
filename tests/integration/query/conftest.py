"""An operator that answers queries, a control plane that may lose its etcd, and people with and without rights."""

import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kit.certificates import Authority, Pair

from innkeeper.kube.credentials import Credentials
from innkeeper.processes.operator import OperatorProcess
from tests.kit.install import run
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.own_plane import own_plane
from tests.kit.waiting import eventually

BASE = "/apis/query.innkeeper.dev/v1alpha1"
RIGHTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: alice, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: robot, namespace: default}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: default}
"""
# No host fits the two guests: the only one is in maintenance, and nobody ever heard it.
OBJECTS = """
apiVersion: innkeeper.dev/v1alpha1
kind: Cluster
metadata: {name: lab}
spec: {network: {bridge: br0}}
---
apiVersion: innkeeper.dev/v1alpha1
kind: Flavor
metadata: {name: small}
spec: {cpu: "1", memory: 1Gi, disk: 10Gi}
---
apiVersion: innkeeper.dev/v1alpha1
kind: IPPool
metadata: {name: lab}
spec: {cidr: 10.7.0.0/24, clusters: [lab]}
---
apiVersion: innkeeper.dev/v1alpha1
kind: Host
metadata: {name: a}
spec: {cluster: lab, maintenance: true}
---
apiVersion: innkeeper.dev/v1alpha1
kind: Guest
metadata: {name: web, namespace: default, labels: {app: web}}
spec: {image: {name: debian}, flavor: small, interfaces: [{pool: lab}]}
---
apiVersion: innkeeper.dev/v1alpha1
kind: Guest
metadata: {name: db, namespace: default, labels: {app: db}}
spec: {image: {name: debian}, flavor: small, interfaces: [{pool: lab}]}
"""


@dataclass(frozen=True)
class Plane:
    """A control plane: how to get in, and who signs its certificates."""

    name: str
    admin: Path
    operator: Path
    authority: Authority
    front_proxy: Authority
    etcd_pid: Path

    def stop_etcd(self) -> None:
        """Take the store away from the API server."""
        os.kill(json.loads(self.etcd_pid.read_text())["pid"], 9)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with own_plane("query", tmp_path_factory.mktemp("query")) as own:
        run(own.admin, "apply", "-f", "-", stdin=f"{RIGHTS}---{OBJECTS}")
        pki = Path(own.state["ca_certificate"]).parent
        etcd_pid = Path(own.state["pid_files"]["etcd"])
        yield Plane(
            own.name, own.admin, own.operator, Authority(pki), Authority(pki / "front-proxy"), etcd_pid
        )


class Queries:
    """Asks the operator directly, each time on a connection of its own."""

    def __init__(self, port: int, authority: Path) -> None:
        self._url = f"https://127.0.0.1:{port}"
        self._authority = authority

    async def ask(
        self,
        path: str,
        *,
        certificate: Pair | None = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> tuple[int, Any]:
        """Return the status and the document."""
        context = ssl.create_default_context(cafile=str(self._authority))
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        wanted = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            method = "GET" if body is None else "POST"
            async with session.request(method, self._url + BASE + path, headers=wanted, json=body) as answer:
                return answer.status, await answer.json()


@asynccontextmanager
async def answering(
    plane: Plane, directory: Path, *, names: Sequence[str] = ("127.0.0.1",), **settings: Any
) -> AsyncIterator[tuple[OperatorProcess, Queries]]:
    """Run an operator that leads and answers queries under `names`; `settings` are more of its settings."""
    authority = Authority(directory / "pki")
    authority.ensure()
    pair = authority.issue_server("query", alternative_names=list(names))
    listening = {"query_listen": "127.0.0.1", **settings}
    async with (
        StubImageServer() as images,
        running_operator(
            Credentials.from_kubeconfig(plane.operator),
            images_url=images.url,
            query_port=0,
            query_certificate_file=pair.certificate,
            query_key_file=pair.key,
            leader_election=False,
            **listening,
        ) as operator,
    ):
        await leads(operator)
        yield operator, Queries(operator.query_port, authority.own.certificate)


async def known(operator: OperatorProcess, name: str) -> None:
    """Wait until the operator knows a guest."""
    await eventually(lambda: ("default", name) in operator.subset.guests, deadline_s=60)
