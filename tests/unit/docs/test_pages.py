"""Pages lead where they say, and show commands that exist."""

import re
from pathlib import Path

import pytest
from kit import paths
from kit.documents import links

CHECKOUT = paths.CHECKOUT
PAGES = links.pages()
NAMED_TEST = re.compile(r"\[`(test_\w+)`\]\(([^)#\s]+\.py)\)")
SCRIPT = re.compile(r"(?<![\w/.-])hack/[a-z][a-z_/-]*[a-z](?:\.(?:yaml|d)\b)?")

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


@each_page
def test_tests_that_are_named_exist(page: Path) -> None:
    missing = [
        f"{file}: {name}"
        for name, file in NAMED_TEST.findall(page.read_text())
        if not re.search(rf"^(async )?def {name}\(", (page.parent / file).read_text(), re.MULTILINE)
    ]
    assert not missing


def test_each_answer_of_the_security_model_names_its_test() -> None:
    text = (CHECKOUT / "docs" / "explanation" / "security-model.md").read_text()
    tables = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if "| shown by |" in part]
    rows = [line for part in tables for line in part.splitlines() if line.startswith("| ")]
    unproven = [row for row in rows if "`test_" not in row and "| shown by |" not in row]
    assert len(tables) >= 7
    assert len(NAMED_TEST.findall(text)) > 40
    assert [row for row in unproven if "not tested" not in row] == []
