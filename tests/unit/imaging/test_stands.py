"""What people are told of a guest's image: never more than is known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from innkeeper.agent.build.ports import Progress
from innkeeper.agent.imaging.files import stream_name
from innkeeper.agent.imaging.overlay import DiskTool
from innkeeper.agent.imaging.store import HostImageStore
from innkeeper.agent.streaming.messages import ImageStatus, Mode
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import OrderImage
from tests.kit.streams import GUEST, image_of

IMAGE = image_of(b"bytes", "https://images")
OPENING = ImageStatus.opening(stream_name(IMAGE), (GUEST,))
HALF = msgspec.structs.replace(OPENING, mode=Mode.STREAMING, here=48, total=100)


@dataclass
class Told:
    """A streaming process of which so much was heard."""

    is_heard: bool = True
    statuses: dict[str, ImageStatus] = field(default_factory=dict)

    async def serve(
        self, image: OrderImage, guest_id: str, *, whole_soon: bool = False, has_disk: bool = False
    ) -> ImageStatus:
        """Serve nothing."""
        raise NotImplementedError

    async def until_whole(self, name: str, progress: Progress) -> None:
        """Wait for nothing."""

    async def leave(self, name: str, guest_id: str) -> None:
        """Know nobody."""

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Follow nothing."""


def said(*statuses: ImageStatus, is_heard: bool = True, image: OrderImage = IMAGE) -> str:
    """Return what is said after so much was heard."""
    streamer = Told(is_heard, {each.name: each for each in statuses})
    store = HostImageStore(
        Path("/nowhere"),
        token=lambda: None,
        ca_file=None,
        clock=SystemClock(),
        disks=DiskTool(None),
        streamer=streamer,
    )
    return store.stands(image, GUEST)


def test_an_agent_that_has_heard_nothing_yet_says_nothing() -> None:
    assert said(is_heard=False) == ""


def test_an_image_that_was_never_a_stream_is_local_whatever_was_heard() -> None:
    assert (
        said(is_heard=False, image=msgspec.structs.replace(IMAGE, manifest_digest=None))
        == "the image is Local"
    )


def test_a_stream_that_nobody_can_read_yet_is_not_local() -> None:
    assert said(OPENING) == "Streaming"


def test_a_stream_is_told_in_steps_until_it_ends() -> None:
    assert said(HALF) == "Streaming, 45 % of the image is here"
    assert said(msgspec.structs.replace(HALF, mode=Mode.LOCAL)) == "Streaming, all of the image is here"
    assert said(msgspec.structs.replace(HALF, guests=("another",))) == "the image is Local"
    assert said() == "the image is Local"
