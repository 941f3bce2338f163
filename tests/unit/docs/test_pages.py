"""Pages lead where they say, and show commands that exist."""

import re
from pathlib import Path

import pytest
from kit import paths
from kit.documents import links

CHECKOUT = paths.CHECKOUT
PAGES = links.pages()
SCRIPT = re.compile(r"(?<![\w/.-])hack/[a-z][a-z_/-]*[a-z]")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


def test_there_are_pages() -> None:
    assert len(PAGES) > 10


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    assert not list(links.broken(page))


@each_page
def test_scripts_that_are_named_exist(page: Path) -> None:
    missing = [name for name in set(SCRIPT.findall(page.read_text())) if not (CHECKOUT / name).exists()]
    assert not missing
