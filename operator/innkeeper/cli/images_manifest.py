"""`innkeeper images manifest`: write the manifest of an image beside it."""

import asyncio
import hashlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import ManifestMaker

PIECE = 1024 * 1024
_TELL_EVERY = 1024 * PIECE


class Algorithm(StrEnum):
    """What an image's digest is made with."""

    SHA256 = "sha256"
    SHA512 = "sha512"


async def run(
    *,
    file: Annotated[Path, typer.Argument(help="The image, as it lies at its source.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write.", show_default="FILE.manifest.json")
    ] = None,
    digest: Annotated[
        Algorithm, typer.Option(help="The algorithm of the image's digest: sha256 or sha512.")
    ] = Algorithm.SHA256,
) -> None:
    """Write the manifest of an image: the digest of each chunk, so that guests boot before anybody has read it whole.

    It prints what an Image's spec needs. Put the manifest where `url` of `spec.manifest` names it.
    """
    target = output or file.with_name(f"{file.name}.manifest.json")
    whole, made = await asyncio.to_thread(_made, file, target, digest)
    sys.stdout.write(
        f"digest: {whole}\nmanifest:\n  url: https://.../{target.name}\n  digest: sha256:{made}\n"
    )


def _made(file: Path, target: Path, algorithm: str) -> tuple[Digest, str]:
    """Write the manifest; return the image's digest and the manifest's own SHA-256."""
    maker, hashed, done = ManifestMaker(), hashlib.new(algorithm), 0
    size = file.stat().st_size
    with file.open("rb") as source:
        while piece := source.read(PIECE):
            maker.take(piece)
            hashed.update(piece)
            done += len(piece)
            if done % _TELL_EVERY == 0:
                sys.stderr.write(f"{100 * done // size} % read\n")
    whole = Digest(algorithm, hashed.hexdigest())
    encoded = maker.manifest(str(whole)).encode()
    partial = target.with_name(f"{target.name}.partial")
    partial.write_bytes(encoded)
    partial.replace(target)
    return whole, hashlib.sha256(encoded).hexdigest()
