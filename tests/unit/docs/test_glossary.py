"""The glossary has every kind, and no heading of the documents uses a word that it says not to use."""

import re
from pathlib import Path

import pytest
from kit import paths
from kit.documents import links, reading

from innkeeper.api.v1alpha1 import KINDS

GLOSSARY = paths.CHECKOUT / "docs" / "glossary.md"
ROW = re.compile(r"^\| \*\*(?P<word>[^*]+)\*\* \| .* \| (?P<not_called>[^|]*)\|$", re.MULTILINE)
ROWS = ROW.findall(GLOSSARY.read_text())
WORDS = {word for word, _ in ROWS}
ELSEWHERE = {
    # Words that others own, and that a heading may use of theirs.
    "cache",
    "command",
    "commands",
    "hypervisor",
    "import",
    "lease",
    "load",
    "name",
    "node",
    "project",
    "switch",
    "template",
    "version",
}


def test_every_kind_is_there() -> None:
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in WORDS] == []


def test_words_stand_in_their_order() -> None:
    words = [word.lower() for word, _ in ROWS]
    assert words == sorted(words)


@pytest.mark.parametrize("page", links.pages(), ids=lambda page: str(page.relative_to(paths.CHECKOUT)))
def test_no_heading_uses_a_word_against_the_glossary(page: Path) -> None:
    if page.parent.name == "reference":
        return
    others = {
        each.strip().lower()
        for _, not_called in ROWS
        for each in not_called.split(",")
        if each.strip() and "(" not in each
    }
    wrong = [
        (heading, each)
        for heading in reading.headings(page.read_text())
        for each in others - {word.lower() for word in WORDS} - ELSEWHERE
        if re.search(rf"\b{re.escape(each)}s?\b", heading.lower())
    ]
    assert wrong == []
