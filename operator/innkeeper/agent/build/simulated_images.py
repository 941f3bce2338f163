"""Images for the simulated driver: no byte is fetched, and no disk is made."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from innkeeper.agent.build.ports import Backing, Progress, Seed, Streamed
from innkeeper.domain.orders import OrderImage


class SimulatedImages:
    """Says yes to everything and keeps nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def fetch(self, image: OrderImage, guest_id: str, progress: Progress, *, storage: str) -> Backing:  # noqa: ARG002 - as declared
        """Claim that the image is here."""
        progress(image.size, image.size)
        return Backing(str(self._directory / image.digest.replace(":", "-")))

    async def has_disk(self, disk: Path) -> bool:  # noqa: ARG002 - as declared
        """Say yes."""
        return True

    async def prepare_overlay(
        self, base: Backing, overlay: Path, *, image: OrderImage, size_bytes: int
    ) -> None:
        """Make no disk."""

    async def before_start(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Have nothing to do."""

    async def before_resume(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Have nothing to do."""

    def stands(self, image: OrderImage, guest_id: str) -> str:  # noqa: ARG002 - as declared
        """Say nothing."""
        return ""

    def streaming(self) -> Mapping[str, Streamed]:
        """Serve nothing."""
        return {}

    def held(self) -> Mapping[str, int]:
        """Hold nothing."""
        return {}

    async def is_on_stream(self, disk: Path) -> bool:  # noqa: ARG002 - as declared
        """Say no."""
        return False

    async def leave(self, name: str, guest_id: str) -> None:
        """Serve nothing."""

    async def follow(self, on_news: Callable[[], None]) -> None:  # noqa: ARG002 - as declared
        """Have no news, for ever."""
        await asyncio.Event().wait()

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write no seed."""

    async def user_data_in(self, seed: Path) -> bytes | None:  # noqa: ARG002 - as declared
        """Have none."""
        return None

    async def set_aside(self, guest_id: str) -> None:
        """Keep nothing."""

    async def release(self, guest_id: str) -> None:
        """Keep nothing."""
