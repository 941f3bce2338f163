"""How pages are read: blocks with their marks, links, anchors; and which links count as broken."""

from pathlib import Path

import pytest
from kit import paths
from kit.documents import links, reading

from tests.kit import documents

PAGE = """\
# A page: with `code`, twice

## Again
## Again

See [a file](other.md#part "title"), ![a picture](flow.svg) and `[no](link)`.

| a | b |
|---|---|
| [in a table](table.md) | |

<!-- not run: it needs
     a second machine -->
```sh
reboot
```

1. In a list:

    <!-- at: host-a -->
    <!-- ends with: 3 -->
    ```console
    $ first \\
    > --more
    HEAD OF TABLE
    $ second
    ```

```yaml
[no]: link
```
"""


def test_blocks_carry_the_marks_above_them() -> None:
    blocks = reading.blocks(PAGE)
    assert [(each.language, each.marks) for each in blocks] == [
        ("sh", {"not run": "it needs a second machine"}),
        ("console", {"at": "host-a", "ends with": "3"}),
        ("yaml", {}),
    ]
    assert PAGE.splitlines()[blocks[0].line - 1] == "```sh"


def test_links_are_those_of_text_and_tables() -> None:
    assert [each.target for each in reading.links(PAGE)] == ["other.md#part", "flow.svg", "table.md"]


def test_anchors_are_the_ones_that_github_makes() -> None:
    assert reading.anchors(PAGE) == {"a-page-with-code-twice", "again", "again-1"}


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        ("1. one\n\n    more of it\n\n2. two\n\n    ```sh\n    true\n    ```\n", []),
        ("- a line\n  that goes on\n- another\n\n   three spaces of no list\n", [5]),
        ("1. one\n\n   ```sh\n   true\n   ```\n\n2. two\n", [3]),
        ("1. one\n\n   | a |\n   |---|\n", [3]),
        ("- one\n  - inner\n", [2]),
        ("- one\n    - inner\n\n        more of it\n", []),
        ("- one\n    - inner\n\n      more of it\n", [4]),
        ("1. one\n\nText.\n\n- two\n", []),
    ],
)
def test_a_block_in_a_list_needs_four_spaces_a_level(page: str, lines: list[int]) -> None:
    """The site would end the list there, and begin another one at 1."""
    assert reading.too_shallow(page) == lines


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("README.md", None),
        ("README.md#try-it", None),
        ("https://example.org/a", None),
        ("README.md#no-such-part", "no such heading"),
        ("no-such-file.md", "no such file"),
        ("../../../../../../etc/passwd", "out of the repository"),
        ("ftp://example.org", "begins with one of"),
        ("https://", "begins with one of"),
    ],
)
def test_a_link_is_broken_for_one_of_these_reasons(
    link: str, why: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    (tmp_path / "README.md").write_text("# Try it\n")
    page = tmp_path / "page.md"
    page.write_text(f"[a link]({link})\n")
    broken = list(links.broken(page))
    assert broken == [] if why is None else why in broken[0]


def write(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "CHECKOUT", folder)
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_a_page_is_run_from_top_to_bottom_in_one_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "```sh\nX=1\n```\n\n```console\n$ echo A $X\nA 1\n```\n\n<!-- ends with: 7 -->\n```sh\nexit 7\n```\n"
    )
    documents.run(write(tmp_path, text, monkeypatch), directory=tmp_path, environment={})


def test_a_command_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write(tmp_path, "```sh\ntrue\n```\n\n```sh\necho why; false | cat\n```\n", monkeypatch)
    with pytest.raises(documents.DocumentError, match=r"page\.md:5 ended with 1[\s\S]*why"):
        documents.run(page, directory=tmp_path, environment={})


def test_a_table_that_has_other_columns_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write(tmp_path, "```console\n$ echo NAME READY\nNAME POWER\n```\n", monkeypatch)
    with pytest.raises(documents.DocumentError, match="NAME POWER"):
        documents.run(page, directory=tmp_path, environment={})


def test_a_mark_that_is_misspelt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write(tmp_path, "<!-- not ran: why -->\n```sh\nfalse\n```\n", monkeypatch)
    with pytest.raises(documents.DocumentError, match="no such mark: not ran"):
        documents.commands(page)
