"""Every image of the corpus ends at the image server; none reaches a host, and a host that got one opens none."""

import hashlib
from pathlib import Path

import pytest

from innkeeper.agent.imaging.header import check_header
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import OrderImage
from innkeeper.errors import InnkeeperError
from innkeeper.images.answers import Failed, InspectRequest
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.unpacking.store import Store
from innkeeper.images.unpacking.unpacked import Unpacker
from innkeeper.views.catalog import DirectorySource, ImageSource
from tests.kit.evil_images import Evil, corpus
from tests.kit.source_secrets import PlayedSecrets
from tests.kit.waiting import eventually

CORPUS = list(corpus())
each_one = pytest.mark.parametrize("evil", CORPUS, ids=[each.what for each in CORPUS])


@each_one
async def test_the_image_server_refuses_it_for_good(evil: Evil, tmp_path: Path) -> None:
    """By a real file and the whole inspection; the message tells a person what to do."""
    (tmp_path / "disk").write_bytes(evil.content)
    store_directory = tmp_path / "store"
    store_directory.mkdir()
    policy = OriginPolicy()
    async with client_session(policy) as session:
        opener = SourceOpener(
            session, policy=policy, directory=tmp_path, credentials=PlayedSecrets().credentials()
        )
        clock, manifests = SystemClock(), Manifests(None)
        store = Store(store_directory, clock=clock)
        inspector = Inspector(
            opener,
            clock=clock,
            unpacker=Unpacker(store, manifests),
            limits=Limits(max_bytes=64 * 1024**2),
        )
        request = InspectRequest(
            namespace="a",
            name="evil",
            source=ImageSource(directory=DirectorySource(path="disk")),
            format=evil.declared,
            compression=evil.compression,
            digest=f"sha256:{hashlib.sha256(evil.content).hexdigest()}",
        )
        await eventually(lambda: isinstance(inspector.look(request), Failed))
        answer = inspector.look(request)
        await inspector.close()
        store.close()
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.retryable) == (evil.reason, False)
    assert len(answer.message) > 20
    assert [path.name for path in store_directory.iterdir()] == ["lock"]


@each_one
def test_a_host_that_got_it_refuses_it_before_any_tool_of_qemu(evil: Evil, tmp_path: Path) -> None:
    """An image server that was taken over sends what it likes: the host looks for itself."""
    path = tmp_path / "image"
    path.write_bytes(evil.content)
    image = OrderImage(
        namespace="a",
        name="evil",
        url="http://images/",
        digest=f"sha256:{hashlib.sha256(evil.content).hexdigest()}",
        format=evil.declared,
        size=len(evil.content),
        virtual_size=len(evil.content),
    )
    with pytest.raises(InnkeeperError) as refused:
        check_header(path, image)
    assert not refused.value.retryable
