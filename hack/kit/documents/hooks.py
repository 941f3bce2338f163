"""mkdocs calls this while it builds the site: pages outside `docs/` become pages of it, and links go on to lead there.

README.md is the first page; the other pages of the checkout's root lie in `project/`. Links to code lead to copies of the
files in `source/`, so that the site is whole without a network.
"""

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from kit import paths

_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<path>[^)#\s]+)")
_FIRST = "README.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name every page of a folder where the navigation says `folder/*`."""
    for entry in config.nav or []:
        for title, folder in entry.items():
            if isinstance(folder, str) and folder.endswith("/*"):
                pages = (paths.CHECKOUT / "docs").glob(f"{folder}.md")
                entry[title] = sorted(str(page.relative_to(paths.CHECKOUT / "docs")) for page in pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the checkout's root."""
    for page in sorted(paths.CHECKOUT.glob("*.md")):
        at = "index.md" if page.name == _FIRST else f"project/{page.name}"
        files.append(File.generated(config, at, content=page.read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to where their targets lie in the site."""
    here = page.file.src_uri

    def led(found: re.Match[str]) -> str:
        target = _in_checkout(normpath(f"{dirname(_origin(here))}/{found['path']}"))
        return relpath(_in_site(target, config, files), dirname(here) or ".")

    return _LINK.sub(led, markdown)


def _origin(site_path: str) -> str:
    """Return where a page of the site lies in the checkout."""
    if site_path == "index.md":
        return _FIRST
    return site_path.removeprefix("project/") if site_path.startswith("project/") else f"docs/{site_path}"


def _in_checkout(path: str) -> str:
    return path.lstrip("/")


def _in_site(target: str, config: MkDocsConfig, files: Files) -> str:
    """Return where a file of the checkout lies in the site; what is no page is copied there."""
    if target == _FIRST:
        return "index.md"
    if "/" not in target and target.endswith(".md"):
        return f"project/{target}"
    inside = target.removeprefix("docs/")
    if target.startswith("docs/") and files.get_file_from_path(inside):
        return inside
    if target.startswith("docs/") and files.get_file_from_path(f"{inside}/README.md"):
        return f"{inside}/README.md"
    return _copied(paths.CHECKOUT / target, f"source/{target}.txt", config, files)


def _copied(source: Path, at: str, config: MkDocsConfig, files: Files) -> str:
    if not files.get_file_from_path(at):
        is_folder = source.is_dir()
        text = "\n".join(sorted(each.name for each in source.iterdir())) if is_folder else source.read_text()
        copy = File.generated(config, at, content=text, inclusion=InclusionLevel.INCLUDED)
        files.append(copy)
    return at
