"""A real API server with Innkeeper's API in it, and a way to ask it as anybody.

Most requests are dry runs: the API server checks them in full, with admission, and stores nothing.
"""

import base64
import http.client
import json
import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.objects import OPERATOR, path_of
from tests.kit.install import CHECKOUT, install


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """The message of a refusal."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Server:
    """One API server; requests are made as its admin, or as whom the admin impersonates."""

    kubeconfig: Path
    host: str
    tls: ssl.SSLContext

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        user: str | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Make one request."""
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if user:
            headers["Impersonate-User"] = user
        connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()

    def create(self, body: Mapping[str, Any], *, user: str | None = None, dry_run: bool = True) -> Answer:
        """Create an object, or only try to."""
        options = f"?fieldValidation=Strict{'&dryRun=All' if dry_run else ''}"
        return self.request("POST", path_of(body, named=False) + options, body, user=user)

    def patch(
        self,
        body: Mapping[str, Any],
        change: Mapping[str, Any],
        *,
        user: str | None = None,
        subresource: str = "",
        dry_run: bool = True,
    ) -> Answer:
        """Merge a change into an object, or only try to."""
        path = path_of(body) + subresource + ("?dryRun=All" if dry_run else "")
        return self.request("PATCH", path, change, user=user, content_type="application/merge-patch+json")

    def stored(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object for good, as the operator where only it may, and return what was stored."""
        self.discard(body)
        user = OPERATOR if body["kind"] in ("IPAddress", "Assignment") else None
        created = self.create(body, dry_run=False, user=user)
        assert created.status == 201, created.message
        return created.body

    def discard(self, body: Mapping[str, Any]) -> None:
        """Remove an object, if it is there, with its finalizers."""
        self.request("DELETE", path_of(body))
        self.patch(body, {"metadata": {"finalizers": None}}, user=OPERATOR, dry_run=False)


def connect(kubeconfig: Path, scratch: Path) -> Server:
    """Read a kubeconfig that carries its certificates."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
    pair = scratch / "admin.pem"
    pair.touch(mode=0o600)
    parts = (user["client-certificate-data"], user["client-key-data"])
    pair.write_bytes(b"".join(base64.b64decode(part) for part in parts))
    tls = ssl.create_default_context(cadata=ca)
    tls.load_cert_chain(pair)
    return Server(kubeconfig, cluster["server"].removeprefix("https://"), tls)


@pytest.fixture(scope="session")
def server(control_plane: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The API server with CRDs, policies and rights in force."""
    install(control_plane)
    found = connect(control_plane, tmp_path_factory.mktemp("admin"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "host-api"}}
    found.request("POST", "/api/v1/namespaces", namespace)
    return found


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Path]:
    """A control plane of these tests' own; its kubeconfig."""
    name = f"test-api-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    script = str(CHECKOUT / "hack" / "control-plane")
    up = subprocess.run(
        [script, "up", "--name", name, "--json"], capture_output=True, text=True, timeout=240, check=False
    )
    assert up.returncode == 0, up.stderr
    yield Path(json.loads(up.stdout)["kubeconfig"])
    subprocess.run([script, "down", "--name", name], capture_output=True, timeout=60, check=True)
