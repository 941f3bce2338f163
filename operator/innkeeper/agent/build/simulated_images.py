"""Images for the simulated driver: no byte is fetched, and no disk is made."""

from pathlib import Path

from innkeeper.agent.build.ports import Progress, Seed
from innkeeper.domain.orders import OrderImage


class SimulatedImages:
    """Says yes to everything and keeps nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def fetch(self, image: OrderImage, guest_id: str, progress: Progress) -> Path:  # noqa: ARG002 - as declared
        """Claim that the image is here."""
        progress(image.size, image.size)
        return self._directory / image.digest.replace(":", "-")

    async def prepare_overlay(self, base: Path, overlay: Path, *, image: OrderImage, size_bytes: int) -> None:
        """Make no disk."""

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write no seed."""

    async def release(self, guest_id: str) -> None:
        """Keep nothing."""
