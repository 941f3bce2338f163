"""An image server over real HTTP that runs in this process; only the API server is played."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession
from aiohttp.test_utils import BaseTestServer

from innkeeper.domain.images import manifest
from innkeeper.domain.orders import Order, OrderImage, OrderResources, Signer
from innkeeper.images.settings import OPERATOR_USER
from innkeeper.kube.errors import NotFoundError, UnavailableError
from innkeeper.kube.resources import ASSIGNMENTS, IMAGES, Resource
from innkeeper.views.assignment import Assignment, AssignmentSpec
from innkeeper.views.catalog import (
    DirectorySource,
    HttpSource,
    Image,
    ImageSource,
    ImageSpec,
    ImageStatus,
)
from innkeeper.views.guest import GuestSpec, ImageRef
from innkeeper.views.meta import Meta, NamespacedName
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk

DISK = raw_disk(3 * 1024 * 1024)
DIGEST = f"sha256:{hashlib.sha256(DISK).hexdigest()}"
MAKER = manifest.ManifestMaker()
MAKER.take(DISK)
OWN = f"sha256:{hashlib.sha256(MAKER.manifest(DIGEST).encode()).hexdigest()}"  # the digest of its manifest
GUEST = "0b7c1d6e-0000-4000-8000-000000000001"
TOKENS = {
    "operator-token": OPERATOR_USER,
    "agent-token": "system:serviceaccount:host-h1:agent",
    "other-agent-token": "system:serviceaccount:host-h2:agent",
    "user-token": "jane",
    "pod-token": "system:serviceaccount:host-h1:default",
    "false-friend-token": "x:system:serviceaccount:host-h1:agent",
}


@dataclass
class PlayedApi:
    """Answers token reviews from `TOKENS`, and gets from `objects`."""

    objects: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    reviews: int = 0
    down: bool = False

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert path == "/apis/authentication.k8s.io/v1/tokenreviews"
        if self.down:
            raise UnavailableError("the API server does not answer")
        self.reviews += 1
        user = TOKENS.get(body["spec"]["token"])
        return {"status": {"authenticated": True, "user": {"username": user}} if user else {"error": "no"}}

    async def get(self, resource: Resource[Any], name: str, *, namespace: str | None = None) -> Any:
        found = self.objects.get((resource.plural, namespace or "", name))
        if found is None:
            raise NotFoundError(f"{name} not found")
        return found

    def put_image(
        self,
        *,
        digest: str = DIGEST,
        path: str = "debian.raw",
        http: HttpSource | None = None,
        manifest_digest: str | None = None,
    ) -> None:
        source = ImageSource(http=http) if http else ImageSource(directory=DirectorySource(path=path))
        self.objects[IMAGES.plural, "team-a", "debian"] = Image(
            metadata=Meta(name="debian", namespace="team-a"),
            spec=ImageSpec(source=source, format="raw", digest=digest),
            status=ImageStatus(manifest_digest=manifest_digest),
        )

    def put_assignment(
        self, *, host: str = "h1", namespace: str = "host-h1", desired: str = "Running"
    ) -> None:
        order = Order(
            host=host,
            store_id="store",
            guest_id=GUEST,
            namespace="team-a",
            name="web",
            generation=1,
            spec=GuestSpec(image=ImageRef(name="debian")),
            resources=OrderResources(cpu_millis=500, memory_bytes=1, disk_bytes=1),
            addresses=[],
            image=OrderImage(
                namespace="team-a",
                name="debian",
                url="http://images/v1/images/team-a/debian",
                digest=DIGEST,
                format="raw",
                size=len(DISK),
                virtual_size=len(DISK),
            ),
            desired=desired,
            epoch=1,
            serial=1,
        )
        self.objects[ASSIGNMENTS.plural, namespace, GUEST] = Assignment(
            metadata=Meta(name=GUEST, namespace=namespace),
            spec=AssignmentSpec(
                order=Signer(bytes(32)).sign(order),
                guest=NamespacedName(namespace="team-a", name="web"),
                guest_id=GUEST,
                desired=desired,
                epoch=1,
                serial=1,
            ),
        )


@dataclass
class Bench:
    """A running image server, and what it stands on."""

    api: PlayedApi
    clock: ManualClock
    directory: Path
    server: BaseTestServer
    http: ClientSession

    async def post(self, path: str, token: str | None, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.post(self.server.make_url(path), json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def url(self, *, which: str = "url") -> str:
        status, answer = await self.post("/v1/urls", "agent-token", {"guestId": GUEST})
        assert status == 200, answer
        parts = urlsplit(answer[which])
        return str(self.server.make_url(f"{parts.path}?{parts.query}"))

    async def manifest_url(self, own: str) -> str:
        """Return the URL of a manifest as a host of a guest of this image asks for it."""
        self.api.put_assignment()
        status, answer = await self.post("/v1/urls", "agent-token", {"guestId": GUEST})
        assert status == 200, answer
        parts = urlsplit(answer["manifestUrl"])
        return str(self.server.make_url(f"{parts.path}?{parts.query}&manifest={own}"))
