"""Every image of the corpus ends at the image server; none reaches a host, and a host that got one opens none."""

import hashlib
from pathlib import Path

import pytest

from innkeeper.agent.imaging.header import ImageUnreadableError, check_header
from innkeeper.clock import SystemClock
from innkeeper.domain.images.headers import ImageHeaderError
from innkeeper.domain.orders import OrderImage
from innkeeper.images.answers import Failed, InspectRequest
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.unpacking.store import Store
from innkeeper.images.unpacking.unpacked import Unpacker
from innkeeper.views.catalog import DirectorySource, ImageSource
from tests.kit.evil_images import QCOW2, RAW, Evil, corpus
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


def ordered(content: bytes, declared: str) -> OrderImage:
    """Return the order for an image as who harms would have it: of just the disk that the header names."""
    virtual_size = int.from_bytes(content[24:32]) if declared == "qcow2" else len(content)
    return OrderImage(
        namespace="a",
        name="evil",
        url="http://images/",
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        format=declared,
        size=len(content),
        virtual_size=virtual_size,
    )


@pytest.mark.parametrize(
    "evil",
    # Hosts never unpack: of a compressed file they would see the first bytes, and refuse these.
    [pytest.param(each, id=each.what) for each in CORPUS if each.compression is None],
)
def test_a_host_that_got_it_refuses_it_before_any_tool_of_qemu(evil: Evil, tmp_path: Path) -> None:
    """An image server that was taken over sends what it likes: the host looks for itself."""
    path = tmp_path / "image"
    path.write_bytes(evil.content)
    with pytest.raises(ImageUnreadableError) as refused:
        check_header(path, ordered(evil.content, evil.declared))
    assert not refused.value.retryable
    found = refused.value.__cause__
    assert isinstance(found, ImageHeaderError), (
        "by what its header says, and not for another size than ordered"
    )
    assert found.reason == evil.reason


@pytest.mark.parametrize(("content", "declared"), [(QCOW2, "qcow2"), (RAW, "raw")], ids=["qcow2", "raw"])
def test_a_host_takes_the_good_image_that_the_evil_ones_are_made_of(
    content: bytes, declared: str, tmp_path: Path
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    check_header(path, ordered(content, declared))
