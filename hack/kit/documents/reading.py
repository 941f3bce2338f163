"""Reads a page of Markdown: its headings, its links, and its fenced blocks with the marks above them.

A mark is an HTML comment right above a block, which readers do not see: `<!-- not run: it needs a second machine -->`.
The parser is markdown-it; nothing here looks at files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARK = re.compile(r"<!--\s*(?P<name>[a-z][a-z ]*?)(?::\s*(?P<value>.*?))?\s*-->", re.DOTALL)
_SPACES_A_LEVEL = 4
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, what it holds, and its marks by name."""

    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A link or a picture: the line of its paragraph, and where it leads."""

    line: int
    target: str


def blocks(page: str) -> list[Block]:
    """Return every fenced block of a page, those in lists too."""
    found: list[Block] = []
    comments = ""
    for token in _parsed(page):
        if token.type == "html_block":
            comments += token.content
        elif token.type == "fence":
            language = token.info.split()[0] if token.info.split() else ""
            found.append(Block(_line(token), language, token.content, marks(comments)))
            comments = ""
        elif token.nesting == 0:
            comments = ""
    return found


def marks(comment: str) -> dict[str, str]:
    """Return what HTML comments say, by name; a mark without a value has an empty one."""
    found = _MARK.finditer(comment)
    return {each["name"]: " ".join((each["value"] or "").split()) for each in found}


def links(page: str) -> list[Link]:
    """Return every link and picture of a page, in its order."""
    return [
        Link(line, str(target))
        for line, inline in _inlines(page)
        for each in inline.children or []
        if (target := each.attrGet("href") or each.attrGet("src"))
    ]


def anchors(page: str) -> set[str]:
    """Return what `#...` may name on a page: its headings, as GitHub makes anchors of them."""
    found: set[str] = set()
    for text in headings(page):
        plain = _NOT_IN_ANCHORS.sub("", text.lower()).replace(" ", "-")
        counted = (plain if at == 0 else f"{plain}-{at}" for at in range(len(found) + 1))
        found.add(next(each for each in counted if each not in found))
    return found


def headings(page: str) -> list[str]:
    """Return the text of each heading, without its marks of code and emphasis."""
    tokens = _parsed(page)
    return [
        "".join(child.content for child in inline.children or [])
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open"
    ]


def too_shallow(page: str) -> list[int]:
    """Return the lines of blocks in lists with fewer than four spaces for each level: the site ends the list there."""
    found: list[int] = []
    items: list[int] = []
    lines = page.splitlines()
    for token in _parsed(page):
        if token.type == "list_item_close":
            items.pop()
            continue
        line = _line(token)
        if line and items and line != items[-1] and line not in found:
            indent = len(lines[line - 1]) - len(lines[line - 1].lstrip(" "))
            if indent < _SPACES_A_LEVEL * len(items):
                found.append(line)
        if token.type == "list_item_open":
            items.append(line)
    return found


def _inlines(page: str) -> Iterator[tuple[int, Token]]:
    line = 0
    for token in _parsed(page):
        line = _line(token) if token.map else line
        if token.type == "inline":
            yield line, token


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def _parsed(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page)
