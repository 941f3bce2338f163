"""Tables of the reference pages, in Markdown; and what stands at the head of each page."""

from collections.abc import Iterable, Sequence


def page(title: str, *, source: str, intro: str, parts: Iterable[str]) -> str:
    """Return a page: where it comes from, its title, what it is, and its parts."""
    head = f"<!-- Made by hack/generate from {source}; do not edit. -->\n# {title}\n\n{intro.strip()}\n"
    return "\n".join([head, *(f"{part.strip()}\n" for part in parts)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; bars in cells are escaped and line breaks become spaces."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: object) -> str:
    """Return a text as code, or nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
