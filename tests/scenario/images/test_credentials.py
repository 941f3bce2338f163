"""Images of private origins: who is shown the Secret, who is not, and what is said where it does not help."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from yarl import URL

from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, InspectRequest, Ready
from innkeeper.images.credentials import Credentials, credential_of
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.sources.credential import CredentialsError
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.kube.errors import ForbiddenError, UnavailableError
from innkeeper.kube.views import Secret
from innkeeper.views.catalog import HttpSource, ImageSource, ManifestSource, SecretRef
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk
from tests.kit.source_secrets import PlayedSecrets, source_secret
from tests.scenario.images.origin import Origin

DISK = raw_disk(2 * 1024**2)
DIGEST = f"sha256:{hashlib.sha256(DISK).hexdigest()}"
PASSWORD = "pässword with a: colon"
BASIC = f"Basic {base64.b64encode(f'reader:{PASSWORD}'.encode()).decode()}"
TOKEN = "tok.en-1234=="


@dataclass
class Bench:
    """An inspector, Secrets and a clock to play with."""

    secrets: PlayedSecrets
    clock: ManualClock
    inspector: Inspector

    async def ask(
        self,
        url: str,
        *,
        namespace: str = "team-a",
        mirrors: tuple[str, ...] = (),
        manifest: ManifestSource | None = None,
    ) -> InspectAnswer:
        """Ask what the image at a URL is, of an Image that names the Secret `store`."""
        http = HttpSource(url=url, mirrors=list(mirrors), secret_ref=SecretRef(name="store"))
        return await self.inspector.ask(
            InspectRequest(
                namespace=namespace,
                name="debian",
                source=ImageSource(http=http),
                format="raw",
                digest=DIGEST,
                manifest=manifest,
            )
        )

    def hold(self, url: str, **values: str) -> None:
        """Put the Secret for the origin of a URL."""
        shown = values or {"username": "reader", "password": PASSWORD}
        self.secrets.put(source_secret(origin=str(URL(url).origin()), **shown))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Secrets are read afresh after five seconds, failures looked at again after twenty."""
    secrets, clock, policy = PlayedSecrets(), ManualClock(), OriginPolicy(listed_hosts=["127.0.0.1"])
    async with client_session(policy) as session:
        opener = SourceOpener(session, policy=policy, directory=None, credentials=secrets.credentials(clock))
        inspector = Inspector(opener, clock=clock, limits=Limits(patience_s=10, retry_after_s=20))
        yield Bench(secrets, clock, inspector)
        await inspector.close()


@asynccontextmanager
async def served(origin: Origin) -> AsyncIterator[str]:
    async with origin.server() as server:
        yield str(server.make_url("/disk.raw"))


def shown(origin: Origin) -> set[str | None]:
    """Return every Authorization that an origin saw; None where there was none."""
    return {headers.get("Authorization") for headers in origin.headers}


def failed(answer: InspectAnswer) -> Failed:
    assert isinstance(answer, Failed)
    assert PASSWORD not in answer.message
    assert TOKEN not in answer.message
    assert answer.reason == ImageReason.CREDENTIALS_UNUSABLE
    assert answer.retryable
    return answer


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({"username": "reader", "password": PASSWORD}, BASIC),
        ({"username": "reader", "password": f"{PASSWORD}\n"}, BASIC),
        ({"token": TOKEN}, f"Bearer {TOKEN}"),
    ],
    ids=["basic", "with the line feed of a file", "bearer"],
)
async def test_a_private_image_is_read_with_its_secret(
    bench: Bench, values: dict[str, str], header: str
) -> None:
    origin = Origin(DISK, authorization=header)
    async with served(origin) as url:
        bench.hold(url, **values)
        assert isinstance(await bench.ask(url), Ready)
    assert shown(origin) == {header}


async def test_a_redirect_to_another_origin_leaves_the_credential_behind(bench: Bench) -> None:
    elsewhere = Origin(DISK)
    async with served(elsewhere) as target:
        origin = Origin(b"", redirect=target)
        async with served(origin) as url:
            bench.hold(url)
            assert isinstance(await bench.ask(url), Ready)
    assert (shown(origin), shown(elsewhere)) == ({BASIC}, {None})


async def test_a_redirect_within_the_origin_keeps_it(bench: Bench) -> None:
    origin = Origin(DISK, authorization=BASIC, moved={"/disk.raw": "/final"})
    async with served(origin) as url:
        bench.hold(url)
        assert isinstance(await bench.ask(url), Ready)
    assert "/final" in origin.requests


async def test_an_origin_that_is_redirected_to_and_refuses_is_told_apart(bench: Bench) -> None:
    async with served(Origin(DISK, status=403)) as target, served(Origin(b"", redirect=target)) as url:
        bench.hold(url)
        assert "an origin that the Secret team-a/store is not for" in failed(await bench.ask(url)).message


async def test_a_secret_goes_to_no_origin_that_it_does_not_name(bench: Bench) -> None:
    """Who may create Images but read no Secrets sends one to an origin of their own in vain."""
    theirs = Origin(DISK)
    async with served(theirs) as url:
        for other in ("https://images.example.com", url.replace("http:", "https:"), "http://127.0.0.1:1"):
            bench.hold(other)
            bench.clock.advance(21)
            assert "is not for the origin of" in failed(await bench.ask(url)).message
    assert not theirs.requests


async def test_no_other_secret_counts(bench: Bench) -> None:
    theirs = Origin(DISK)
    async with served(theirs) as url:
        origin = str(URL(url).origin())
        bench.secrets.put(source_secret(kind="Opaque", origin=origin, token=TOKEN))
        assert "not of the type innkeeper.dev/image-source" in failed(await bench.ask(url)).message
        bench.secrets.put(source_secret("store", namespace="team-b", origin=origin, token=TOKEN))
        answer = failed(await bench.ask(url, namespace="team-c"))
        assert "the Secret team-c/store is not there: create it" in answer.message
    assert not theirs.requests


async def test_of_several_mirrors_only_the_one_at_its_origin_is_shown_it(bench: Bench) -> None:
    public, private = Origin(DISK, status=404), Origin(DISK, authorization=BASIC)
    async with served(public) as first, served(private) as second:
        bench.hold(second)
        assert isinstance(await bench.ask(first, mirrors=(second,)), Ready)
    assert (shown(public), shown(private)) == ({None}, {BASIC})


async def test_a_manifest_is_asked_for_with_it_at_the_same_origin_only(bench: Bench) -> None:
    maker = ManifestMaker()
    maker.take(DISK)
    encoded = maker.manifest(DIGEST).encode()
    digest = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    private = Origin(DISK, authorization=BASIC, others={"/manifest.json": encoded})
    public = Origin(encoded)
    async with served(private) as url, served(public) as elsewhere:
        bench.hold(url)
        beside = str(URL(url).with_path("/manifest.json"))
        assert isinstance(await bench.ask(url, manifest=ManifestSource(url=beside, digest=digest)), Ready)
        assert isinstance(await bench.ask(url, manifest=ManifestSource(url=elsewhere, digest=digest)), Ready)
    assert (shown(private), shown(public)) == ({BASIC}, {None})


async def test_a_secret_that_comes_after_its_image_heals_it(bench: Bench) -> None:
    async with served(Origin(DISK, authorization=BASIC)) as url:
        failed(await bench.ask(url))
        bench.hold(url)
        bench.clock.advance(21)
        assert isinstance(await bench.ask(url), Ready)


async def test_an_origin_that_refuses_names_the_secret_and_a_new_one_heals(bench: Bench) -> None:
    async with served(Origin(DISK, authorization=BASIC)) as url:
        bench.hold(url, token=TOKEN)
        assert "answers 401: check the Secret team-a/store" in failed(await bench.ask(url)).message
        bench.hold(url)
        bench.clock.advance(21)
        assert isinstance(await bench.ask(url), Ready)


async def test_a_private_origin_without_a_secret_says_how_to_name_one(bench: Bench) -> None:
    async with served(Origin(DISK, authorization=BASIC)) as url:
        answer = await bench.inspector.ask(
            InspectRequest(
                namespace="team-a",
                name="debian",
                source=ImageSource(http=HttpSource(url=url)),
                format="raw",
                digest=DIGEST,
            )
        )
    assert isinstance(answer, Failed)
    assert "spec.source.http.secretRef" in answer.message


async def test_a_rotated_secret_is_taken_up_within_seconds() -> None:
    secrets, clock = PlayedSecrets(), ManualClock()
    credentials = secrets.credentials(clock)

    async def header() -> str:
        return (await credentials.of("team-a", "store")).authorization

    secrets.put(source_secret(origin="https://images.example.com", token="old"))
    for _ in range(100):
        assert await header() == "Bearer old"
    assert secrets.reads == 1
    secrets.put(source_secret(origin="https://images.example.com", token="new"))
    clock.advance(5)
    assert await header() == "Bearer new"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ForbiddenError("no"), "bind the ClusterRole innkeeper-images-secrets in team-a"),
        (UnavailableError("the API server does not answer"), "cannot be read now"),
    ],
)
async def test_a_secret_that_cannot_be_read(bench: Bench, failure: Exception, said: str) -> None:
    assert isinstance(failure, ForbiddenError | UnavailableError)
    bench.secrets.failure = failure
    assert said in failed(await bench.ask("https://images.example.com/disk.raw")).message


ORIGIN = {"origin": "https://images.example.com"}
PAIR = {"username": "reader", "password": PASSWORD}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**PAIR}, "`origin` must be"),
        ({**PAIR, "origin": "images.example.com"}, "`origin` must be"),
        ({**PAIR, "origin": "https://images.example.com/private/"}, "`origin` must be"),
        ({**PAIR, "origin": "https://reader@images.example.com"}, "`origin` must be"),
        ({**PAIR, "origin": "https://images.example.com:port"}, "`origin` must be"),
        ({**PAIR, "origin": "ftp://images.example.com"}, "`origin` must be"),
        ({**ORIGIN}, "needs either `token`"),
        ({**ORIGIN, "username": "reader"}, "needs either `token`"),
        ({**ORIGIN, "username": "", "password": PASSWORD}, "needs either `token`"),
        ({**ORIGIN, "username": "a:b", "password": PASSWORD}, "needs either `token`"),
        ({**ORIGIN, **PAIR, "token": TOKEN}, "needs either `token`"),
        ({**ORIGIN, "token": f"{TOKEN} {TOKEN}"}, "needs either `token`"),
        ({**ORIGIN, "token": f"{TOKEN}\r\nHost: other"}, "`token` holds control characters"),
        ({**ORIGIN, "username": "reader", "password": PASSWORD * 500}, "`password` is longer"),
    ],
)
def test_a_damaged_secret_says_which_key_to_mend(values: dict[str, str], said: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        credential_of(source_secret(**values), "the Secret team-a/store")
    assert said in caught.value.message
    assert PASSWORD not in caught.value.message
    assert TOKEN not in caught.value.message


def test_bytes_that_are_no_text_are_told_without_being_shown() -> None:
    healthy = source_secret(origin="https://images.example.com")
    for damaged in (base64.b64encode(b"\xff\xfe").decode(), "not base64"):
        secret = Secret(metadata=healthy.metadata, type=healthy.type, data={**healthy.data, "token": damaged})
        with pytest.raises(CredentialsError, match="no UTF-8 text") as caught:
            credential_of(secret, "the Secret team-a/store")
        assert caught.value.__cause__ is None


async def test_a_credential_shows_its_content_to_nobody_who_prints_it() -> None:
    secrets = PlayedSecrets()
    secrets.put(source_secret(origin="https://images.example.com:443/", token=TOKEN))
    credentials: Credentials = secrets.credentials()
    found = await credentials.of("team-a", "store")
    assert TOKEN not in repr(found)
    assert found.is_for(URL("https://IMAGES.example.com/a/b?c"))
    assert not found.is_for(URL("https://images.example.com.:443/"))
    assert not found.is_for(URL("http://images.example.com:443/"))
