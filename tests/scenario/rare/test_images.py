"""An Image on its way to Ready: what each answer of the image server becomes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from innkeeper.images.answers import Failed, InspectAnswer, Preparing, Ready
from innkeeper.kube.client import Client
from innkeeper.kube.resources import IMAGES
from innkeeper.telemetry.metrics import OperatorMetrics
from innkeeper.views.catalog import Image
from innkeeper.workers.rare.image_server import ImageServer, ImageServerError
from innkeeper.workers.rare.image_status import known_of
from innkeeper.workers.rare.images import LOOK_AGAIN_S, Images, pause_after
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Document, FakeApi
from tests.kit.operator_process import StubImageServer
from tests.kit.tls_server import authority_of, pair_of, tls_server

DIGEST = f"sha256:{'a' * 64}"
READY = Ready(format="qcow2", size=1000, virtual_size=2000, digest=DIGEST, source_version="1000-a")
CHANGED = Failed(reason="DigestMismatch", message="the source changed: another digest", retryable=False)
WRONG = {"Ready": ("False", "DigestMismatch"), "Stalled": ("True", "DigestMismatch")}
AWAY = Failed(reason="SourceUnreachable", message="no answer in time", retryable=True)


@dataclass
class Scene:
    """One Image, and an image server that gives one answer after the other, the last again and again."""

    api: FakeApi
    images: Images
    answers: list[InspectAnswer | ImageServerError] = field(default_factory=list)
    users: list[tuple[str, str]] = field(default_factory=list)
    known: list[Ready | None] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def inspect(self, image: Image) -> InspectAnswer:
        """Answer as the test wants."""
        assert image.spec.digest == DIGEST
        self.known.append(known_of(image))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ImageServerError):
            raise answer
        return answer

    async def check(self, *answers: InspectAnswer | ImageServerError) -> float | None:
        """Ask once for each answer; return when to ask again."""
        pause = None
        for answer in answers:
            self.answers = [answer]
            pause = await self.images.check("default", "debian", attempt=0)
        return pause

    async def look_again(self, answer: InspectAnswer | ImageServerError) -> float | None:
        """Look again once; return when to do so again before the timer."""
        self.answers = [answer]
        return await self.images.look_again("default", "debian")

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason by type."""
        return {each["type"]: (each["status"], each["reason"]) for each in self.status["conditions"]}

    @property
    def status(self) -> Document:
        """The status as the API server has it."""
        found = self.api.get(IMAGES, "debian", namespace="default") or {}
        return dict(found.get("status", {}))

    @property
    def unanswered(self) -> float | None:
        """How many Images the image server said nothing about, as the metric tells."""
        return self.registry.get_sample_value("innkeeper_images_unanswered")

    @property
    def ready(self) -> tuple[str, str]:
        """Status and reason of Ready."""
        return self.conditions["Ready"]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """An Image that nobody looked at yet."""
    async with FakeApi() as api, Client(api.credentials()) as client:
        spec = {"source": {"directory": {"path": "debian.qcow2"}}, "format": "qcow2", "digest": DIGEST}
        api.create(IMAGES, {"metadata": {"name": "debian"}, "spec": spec}, namespace="default")
        found = Scene(api, None)  # type: ignore[arg-type] # the two know each other
        metrics = OperatorMetrics(found.registry)
        found.images = Images(
            client, found, users=lambda _: found.users, clock=ManualClock(), metrics=metrics
        )
        yield found


async def test_an_image_is_read_and_then_ready(scene: Scene) -> None:
    assert await scene.check(Preparing(progress="37%")) == 0.25
    assert scene.ready == ("False", "Preparing")
    assert scene.status["progress"] == "37%"
    assert await scene.check(READY) is None
    assert scene.ready == ("True", "Ready")
    status = scene.status
    assert (status["digest"], status["size"], status["virtualSize"]) == (DIGEST, "1000", "2000")
    assert "progress" not in status


async def test_a_wrong_digest_is_looked_at_again_since_the_file_may_be_replaced(scene: Scene) -> None:
    wrong = Failed(reason="DigestMismatch", message="the source has another digest", retryable=False)
    assert await scene.check(wrong) == 60
    assert scene.ready == ("False", "DigestMismatch")
    assert await scene.check(READY) is None
    assert scene.ready == ("True", "Ready")


async def test_an_image_server_that_is_away_is_told_and_tried_again(scene: Scene) -> None:
    pause = await scene.check(ImageServerError("the image server does not answer"))
    assert pause == 2
    assert scene.ready == ("False", "ServerUnreachable")


async def test_the_same_answer_is_written_once(scene: Scene) -> None:
    await scene.check(*[Preparing(progress="37%")] * 5)
    assert len(scene.api.writes("patch images/status")) == 1


async def test_an_image_that_is_gone_or_goes_is_left_alone(scene: Scene) -> None:
    scene.api.patch(IMAGES, "debian", {"metadata": {"finalizers": ["a/b"]}}, namespace="default")
    scene.api.delete(IMAGES, "debian", namespace="default")
    assert await scene.check(READY) is None
    scene.api.patch(IMAGES, "debian", {"metadata": {"finalizers": []}}, namespace="default")
    assert await scene.check(READY) is None
    assert not scene.api.writes("patch images/status")


async def test_a_write_that_somebody_was_faster_with_is_done_again(scene: Scene) -> None:
    scene.api.faults.fail("patch images/status", status=409)
    assert await scene.check(READY) is not None
    assert await scene.check(READY) is None


def test_pauses_grow_and_stay_bounded() -> None:
    failed = Failed(reason="NotFound", message="404", retryable=True)
    pauses = [pause_after(failed, attempt=attempt) for attempt in (0, 1, 2, 3, 4, 1000)]
    assert pauses == [2, 4, 8, 16, 30, 30]
    assert pause_after(Preparing(progress="1%"), attempt=1000) == 3


async def test_the_client_asks_with_the_operators_token() -> None:
    async with FakeApi() as api, StubImageServer() as stub:
        credentials = api.credentials("operator")
        async with ImageServer(stub.url, credentials=credentials) as server:
            answer = await server.inspect(_image())
    assert isinstance(answer, Ready)
    assert stub.tokens == {f"Bearer {credentials.token}"}
    assert stub.asked[0]["source"] == {"directory": {"path": "x"}}


async def test_an_answer_that_cannot_be_read_is_no_answer() -> None:
    async with FakeApi() as api, StubImageServer() as stub:
        stub.answers["x"] = {"state": "Dancing"}
        async with ImageServer(stub.url, credentials=api.credentials()) as server:
            with pytest.raises(ImageServerError, match="no answer that can be read"):
                await server.inspect(_image())


async def test_a_server_that_is_not_there_is_named() -> None:
    async with FakeApi() as api, ImageServer("http://127.0.0.1:9", credentials=api.credentials()) as server:
        with pytest.raises(ImageServerError, match=r"does not answer at http://127\.0\.0\.1:9"):
            await server.inspect(_image())


async def test_a_new_authority_of_the_image_server_is_read_without_a_restart(tmp_path: Path) -> None:
    old, new = pair_of(tmp_path, "old"), pair_of(tmp_path, "new")
    trusted = tmp_path / "images-ca.crt"
    trusted.write_bytes(authority_of(old))
    async with (
        FakeApi() as api,
        tls_server(StubImageServer().application, old) as stub,
        ImageServer(stub.url, credentials=api.credentials(), ca_file=trusted) as server,
    ):
        assert isinstance(await server.inspect(_image()), Ready)
        await stub.show(new)
        with pytest.raises(ImageServerError, match="certificate"):
            await server.inspect(_image())
        trusted.write_bytes(authority_of(new))
        assert isinstance(await server.inspect(_image()), Ready)


def _image() -> Image:
    spec = {"source": {"directory": {"path": "x"}}, "format": "raw", "digest": DIGEST}
    return msgspec.convert({"metadata": {"name": "x", "namespace": "default"}, "spec": spec}, Image)


MINE = [("default", f"web-{number:02}") for number in range(12)]
NAMED = "web-00, web-01, web-02, web-03, web-04, web-05, web-06, web-07, web-08, web-09"


@pytest.mark.parametrize(
    ("users", "named"),
    [
        (MINE[:2], "web-00, web-01"),
        (MINE, f"{NAMED} and 2 more"),
        ([("shop", "till")], "1 guest of other namespaces"),
        (
            [*MINE, ("shop", "till"), ("bank", "vault")],
            f"{NAMED} and 2 more, and 2 guests of other namespaces",
        ),
    ],
)
async def test_a_deleted_image_waits_for_its_guests_and_names_those_of_its_namespace(
    scene: Scene, users: list[tuple[str, str]], named: str
) -> None:
    """They may still be built from it. Who shares an image is not told the names of other tenants' guests."""
    await scene.check(READY)
    scene.users = users
    assert await scene.images.let_go("default", "debian") == 10
    ready, in_use = scene.status["conditions"]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    assert (in_use["type"], in_use["reason"]) == ("InUse", "GuestsRemain")
    assert in_use["message"] == f"the image goes when no guest is bound to it any more: delete {named}"
    scene.users = []
    assert await scene.images.let_go("default", "debian") is None


async def test_what_a_compressed_image_unpacks_to_stays_known(scene: Scene) -> None:
    """Hosts read it by that digest, also while the image server looks at the image once more."""
    packed = msgspec.structs.replace(READY, content_digest=f"sha256:{'c' * 64}")
    await scene.check(packed)
    await scene.look_again(CHANGED)
    assert scene.known[-1] == packed
    assert scene.conditions == WRONG
    assert scene.status["contentDigest"] == packed.content_digest


async def test_a_ready_image_is_looked_at_with_what_is_known_of_it(scene: Scene) -> None:
    await scene.check(READY)
    assert await scene.look_again(READY) is None
    assert scene.known == [None, READY]
    assert len(scene.api.writes("patch images/status")) == 1


async def test_an_image_server_that_is_away_is_counted_until_it_answers_or_the_image_goes(
    scene: Scene,
) -> None:
    """A Ready Image stays Ready, so no condition tells of it; guests that still read the image stand still."""
    await scene.check(READY)
    assert scene.unanswered == 0
    await scene.look_again(ImageServerError("the connection was refused"))
    await scene.look_again(ImageServerError("the connection was refused"))
    assert (scene.unanswered, scene.conditions) == (1, {"Ready": ("True", "Ready")})
    await scene.look_again(AWAY)
    assert scene.unanswered == 0
    await scene.look_again(ImageServerError("the connection was refused"))
    assert scene.unanswered == 1
    await scene.images.let_go("default", "debian")
    assert scene.unanswered == 0
    await scene.look_again(ImageServerError("the connection was refused"))
    scene.api.delete(IMAGES, "debian", namespace="default")
    await scene.look_again(READY)
    assert scene.unanswered == 0


async def test_a_new_version_of_the_same_bytes_is_noted(scene: Scene) -> None:
    await scene.check(READY)
    newer = msgspec.structs.replace(READY, source_version="1000-b")
    assert await scene.look_again(newer) is None
    assert scene.conditions == {"Ready": ("True", "Ready")}
    await scene.look_again(newer)
    assert scene.known[-1] == newer


async def test_a_changed_source_ends_ready_and_keeps_what_bound_guests_need(scene: Scene) -> None:
    await scene.check(READY)
    assert await scene.look_again(CHANGED) is None
    assert scene.conditions == WRONG
    assert (scene.status["digest"], scene.status["virtualSize"]) == (DIGEST, "2000")
    # From here on `check` asks, without what was known.
    assert await scene.look_again(READY) is None
    assert await scene.check(CHANGED) == 60
    assert scene.known[-1] is None
    assert await scene.check(READY) is None
    assert scene.conditions == {"Ready": ("True", "Ready")}


@pytest.mark.parametrize(
    "failed",
    [
        AWAY,
        Failed(reason="NotFound", message="404", retryable=True),
        Failed(reason="CredentialsUnusable", message="the Secret is not there", retryable=True),
        Failed(reason="SourceRefused", message="plain http", retryable=False),
    ],
    ids=lambda failed: str(failed.reason),
)
async def test_a_source_that_cannot_be_looked_at_leaves_the_image_ready_and_is_told(
    scene: Scene, failed: Failed
) -> None:
    await scene.check(READY)
    assert await scene.look_again(failed) == LOOK_AGAIN_S
    assert scene.conditions == {"Ready": ("True", "Ready"), "SourceUnreachable": ("True", failed.reason)}
    assert await scene.look_again(Preparing(progress="3%")) == LOOK_AGAIN_S
    assert scene.conditions["SourceUnreachable"] == ("True", failed.reason)
    assert "progress" not in scene.status
    assert await scene.look_again(READY) is None
    assert scene.conditions == {"Ready": ("True", "Ready")}


async def test_an_image_server_that_is_away_says_nothing_of_a_source(scene: Scene) -> None:
    await scene.check(READY)
    assert await scene.look_again(ImageServerError("the image server does not answer")) == LOOK_AGAIN_S
    assert scene.conditions == {"Ready": ("True", "Ready")}


async def test_a_change_of_sharing_during_an_outage_leaves_it_ready(scene: Scene) -> None:
    """`shared` may change, which makes the operator ask at once."""
    await scene.check(READY)
    scene.api.patch(IMAGES, "debian", {"spec": {"shared": True}}, namespace="default")
    assert await scene.check(AWAY) is None
    assert scene.conditions["Ready"] == ("True", "Ready")
    assert scene.status["observedGeneration"] == 2


async def test_the_question_carries_the_name_of_the_secret_and_nothing_of_its_content() -> None:
    spec = {"source": {"http": {"url": "https://a.example/x", "secretRef": {"name": "store"}}}}
    image = msgspec.convert(
        {
            "metadata": {"name": "x", "namespace": "default"},
            "spec": {**spec, "format": "raw", "digest": DIGEST},
        },
        Image,
    )
    async with (
        FakeApi() as api,
        StubImageServer() as stub,
        ImageServer(stub.url, credentials=api.credentials()) as server,
    ):
        await server.inspect(image)
    assert stub.asked[0]["source"]["http"]["secretRef"] == {"name": "store"}
