"""krew's manifest of the plug-in: what the template says, and where each platform's archive lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kit import paths
from kit.plugin.archive import PROGRAM, Archive

TEMPLATE = paths.CHECKOUT / "packaging" / "krew" / "guest.yaml"


def manifest(archives: Sequence[Archive], *, version: str, base: str) -> dict[str, Any]:
    """Return the manifest of a version whose archives lie below the URL `base`."""
    document: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())
    document["spec"]["version"] = f"v{version}"
    document["spec"]["platforms"] = [_platform(each, base) for each in archives]
    return document


def write(document: dict[str, Any], file: Path) -> None:
    """Write a manifest; krew wants it under the plug-in's name."""
    file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _platform(archive: Archive, base: str) -> dict[str, Any]:
    os, arch = archive.platform.split("-")
    return {
        "selector": {"matchLabels": {"os": os, "arch": arch}},
        "uri": f"{base.rstrip('/')}/{archive.file.name}",
        "sha256": archive.sha256,
        "bin": PROGRAM,
    }
