"""The image server under its own account on a real API server: real tokens, real rights, real objects."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from innkeeper.clock import SystemClock
from innkeeper.domain.orders import Order, OrderImage, OrderResources, Signer
from innkeeper.images.process import start
from innkeeper.images.settings import ImagesSettings
from innkeeper.views.guest import GuestSpec, ImageRef
from tests.kit.disks import raw_disk
from tests.kit.install import CHART_FILES, apply, kubeconfig_of, run
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

DISK = raw_disk(1024 * 1024)
DIGEST = f"sha256:{hashlib.sha256(DISK).hexdigest()}"


@dataclass
class Bench:
    """A running image server and what it needs to know about the API server."""

    kubeconfig: Path
    namespace: str
    host: str
    http: ClientSession
    url: str

    def apply(self, body: dict[str, Any]) -> None:
        run(self.kubeconfig, "apply", "--filename=-", stdin=json.dumps(body))

    def token(self, account: str, namespace: str) -> str:
        done = run(self.kubeconfig, "create", "token", account, f"--namespace={namespace}", "--duration=10m")
        return done.stdout.strip()

    def let_secrets_be_read(self) -> None:
        """Bind the role as an admin does for a namespace with private images."""
        role, account = "innkeeper-images-secrets", "innkeeper-system:innkeeper-images"
        words = (f"--clusterrole={role}", f"--serviceaccount={account}", f"--namespace={self.namespace}")
        run(self.kubeconfig, "create", "rolebinding", role, *words)

    async def post(self, path: str, token: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.post(self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def bench(control_plane: Path, namespace: str, tmp_path: Path) -> AsyncIterator[Bench]:
    apply(control_plane, CHART_FILES / "rbac")
    host = f"h-{uuid.uuid4().hex[:8]}"
    run(control_plane, "create", "namespace", f"host-{host}")
    for account in ("agent", "default"):
        metadata = {"name": account, "namespace": f"host-{host}"}
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        run(control_plane, "apply", "--filename=-", stdin=json.dumps(body))
    own = kubeconfig_of(
        control_plane,
        namespace="innkeeper-system",
        service_account="innkeeper-images",
        to=tmp_path / "images",
    )
    directory = tmp_path / "served"
    directory.mkdir()
    (directory / "debian.raw").write_bytes(DISK)
    settings = ImagesSettings(
        kubeconfig=own, directory=directory, port=0, metrics_port=0, public_url="http://images.test"
    )
    async with AsyncExitStack() as stack:
        port = (await start(settings, stack, clock=SystemClock())).port
        http = await stack.enter_async_context(ClientSession())
        yield Bench(control_plane, namespace, host, http, f"http://127.0.0.1:{port}")
    run(control_plane, "delete", "namespace", f"host-{host}", "--wait=false")


def image(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": "Image",
        "metadata": {"name": "debian", "namespace": namespace},
        "spec": {"source": {"directory": {"path": "debian.raw"}}, "format": "raw", "digest": DIGEST},
    }


def assignment(bench: Bench, guest_id: str) -> dict[str, Any]:
    order = Order(
        host=bench.host,
        store_id="store",
        guest_id=guest_id,
        namespace=bench.namespace,
        name="web",
        generation=1,
        spec=GuestSpec(image=ImageRef(name="debian"), flavor="small"),
        resources=OrderResources(cpu_millis=500, memory_bytes=1, disk_bytes=1),
        addresses=[],
        image=OrderImage(
            namespace=bench.namespace,
            name="debian",
            url=f"http://images.test/v1/images/{bench.namespace}/debian",
            digest=DIGEST,
            format="raw",
            size=len(DISK),
            virtual_size=len(DISK),
        ),
        desired="Running",
        epoch=1,
        serial=1,
    )
    return {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": "Assignment",
        "metadata": {"name": guest_id, "namespace": f"host-{bench.host}"},
        "spec": {
            "order": Signer(bytes(32)).sign(order),
            "guest": {"namespace": bench.namespace, "name": "web"},
            "guestId": guest_id,
            "desired": "Running",
            "epoch": 1,
            "serial": 1,
        },
    }


async def test_from_inspection_to_the_bytes(bench: Bench) -> None:
    operator = bench.token("innkeeper-operator", "innkeeper-system")
    question = {"namespace": bench.namespace, "name": "debian", **image(bench.namespace)["spec"]}
    status, answer = await bench.post("/v1/inspect", operator, question)
    assert (status, answer["state"]) == (200, "Ready"), answer

    guest_id = str(uuid.uuid4())
    bench.apply(image(bench.namespace))
    bench.apply(assignment(bench, guest_id))
    agent = bench.token("agent", f"host-{bench.host}")
    status, answer = await bench.post("/v1/urls", agent, {"guestId": guest_id})
    assert status == 200, answer
    parts = urlsplit(answer["url"])
    assert parts.netloc == "images.test"
    async with bench.http.get(f"{bench.url}{parts.path}?{parts.query}") as blob:
        assert blob.status == 200
        assert await blob.read() == DISK


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (None, "is not there"),
        ("Opaque", "is not of the type"),
        ("innkeeper.dev/image-source", "is not for the origin"),
    ],
)
async def test_a_secret_is_read_and_sent_to_no_origin_that_it_does_not_name(
    bench: Bench, kind: str | None, said: str
) -> None:
    bench.let_secrets_be_read()
    if kind is not None:
        make_secret(bench, kind)
    message = await unusable(bench)
    assert f"the Secret {bench.namespace}/store {said}" in message
    assert "token-1" not in message


async def test_no_secret_is_read_where_no_admin_allowed_it(bench: Bench) -> None:
    make_secret(bench, "innkeeper.dev/image-source")
    message = await unusable(bench)
    assert f"bind the ClusterRole innkeeper-images-secrets in {bench.namespace}" in message
    bench.let_secrets_be_read()

    async def is_read() -> bool:
        return "is not for the origin" in await unusable(bench, name=f"image-{uuid.uuid4()}")

    await eventually(is_read, deadline_s=30)  # an answer about a Secret counts for some seconds


def make_secret(bench: Bench, kind: str) -> None:
    """Make a Secret of an origin that is not that of the image."""
    bench.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "store", "namespace": bench.namespace},
            "type": kind,
            "stringData": {"origin": "https://images.example.com", "token": "token-1"},
        }
    )


async def unusable(bench: Bench, *, name: str = "private") -> str:
    """Return why an image cannot be read with the Secret."""
    http = {"url": "https://192.0.2.1/disk.raw", "secretRef": {"name": "store"}}
    spec = {**image(bench.namespace)["spec"], "source": {"http": http}}
    operator = bench.token("innkeeper-operator", "innkeeper-system")
    question = {"namespace": bench.namespace, "name": name, **spec}
    status, answer = await bench.post("/v1/inspect", operator, question)
    assert (status, answer["reason"]) == (200, "CredentialsUnusable")
    return str(answer["message"])


async def test_who_is_not_asked_for_is_refused(bench: Bench) -> None:
    agent = bench.token("agent", f"host-{bench.host}")
    pod = bench.token("default", f"host-{bench.host}")
    operator = bench.token("innkeeper-operator", "innkeeper-system")
    guest = {"guestId": str(uuid.uuid4())}
    assert (await bench.post("/v1/urls", agent, guest))[0] == 404
    assert (await bench.post("/v1/urls", pod, guest))[0] == 403
    assert (await bench.post("/v1/urls", operator, guest))[0] == 403
    assert (await bench.post("/v1/urls", "made.up.token", guest))[0] == 401
    assert (await bench.post("/v1/inspect", agent, {}))[0] == 403


async def test_the_account_of_the_image_server_reads_and_writes_nothing_else(
    bench: Bench, tmp_path: Path
) -> None:
    own = kubeconfig_of(
        bench.kubeconfig,
        namespace="innkeeper-system",
        service_account="innkeeper-images",
        to=tmp_path / "images-again",
    )
    for verb, kind in (
        ("list", "secrets"),
        ("watch", "secrets"),
        ("patch", "secrets"),
        ("create", "assignments.innkeeper.dev"),
        ("patch", "images.innkeeper.dev"),
    ):
        done = run(own, "auth", "can-i", verb, kind, "--all-namespaces", check=False)
        assert done.stdout.strip() == "no", f"{verb} {kind}"
