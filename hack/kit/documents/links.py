"""Follows the links of all pages: to other pages, to their headings, and to files of the checkout.

Links to elsewhere are looked at for their form only, since nothing is called.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kit import paths
from kit.documents import reading

_ELSEWHERE = ("https", "http", "mailto")


def pages() -> list[Path]:
    """Return every page of the repository, generated ones too."""
    return sorted([*paths.CHECKOUT.glob("*.md"), *paths.CHECKOUT.glob("docs/**/*.md")])


def broken(page: Path) -> Iterator[str]:
    """Yield, for each link of a page that leads nowhere, where it stands and why."""
    for link in reading.links(page.read_text()):
        if why := _why_broken(page, link.target):
            yield f"{page.relative_to(paths.CHECKOUT)}:{link.line}: {link.target}: {why}"


def _why_broken(page: Path, target: str) -> str | None:
    parts = urlsplit(target)
    if parts.scheme:
        good = parts.scheme in _ELSEWHERE and (parts.netloc or parts.path) and " " not in target
        return None if good else f"a link elsewhere begins with one of {', '.join(_ELSEWHERE)}"
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not file.is_relative_to(paths.CHECKOUT):
        return "it leads out of the repository"
    if not file.exists():
        return "there is no such file"
    if parts.fragment and file.suffix == ".md" and parts.fragment not in _anchors(file):
        return f"{file.name} has no such heading; it has {', '.join(sorted(_anchors(file)))}"
    return None


@cache
def _anchors(page: Path) -> set[str]:
    return reading.anchors(page.read_text())
