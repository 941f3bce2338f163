"""Every command in README, tutorial, how-tos and runbooks is run, or says why it cannot be.

A new page is covered as soon as it lies in docs/how-to, docs/runbooks or docs/tutorial. Write it so that a reader can
follow it on the two hosts of `make demo`; docs/how-to/README.md tells what is there. Mark what cannot be run there.
What needs a cluster with nodes is run by tests/e2e/cluster.
"""

from pathlib import Path

import pytest

from tests.kit import documents, running_demo
from tests.kit.running_demo import RunningDemo

NOT_RUN = {
    "it needs systemd",
    "it needs the internet",
    "it needs Docker",
    "it needs a cluster of yours",
    "it needs a second machine",
    "it needs a registry",
    "other tests do the same",
    "it runs all tests, this one too",
    "it needs an operator whose key is gone",
    "it needs an API server that lost its store",
    "it needs a store of S3",
}
"""Why a command may be left out: `<!-- not run: REASON -->` right above its block. What is here once is enough."""

LEFT_OUT = {
    "README.md": 1,
    "docs/how-to/a-guest-does-not-start.md": 1,
    "docs/how-to/back-up-a-host.md": 1,
    "docs/how-to/build-images.md": 3,
    "docs/how-to/carry-a-disk.md": 1,
    "docs/how-to/check-a-host.md": 1,
    "docs/how-to/gitops-with-flux.md": 1,
    "docs/how-to/install-on-debian.md": 3,
    "docs/how-to/install-with-helm.md": 3,
    "docs/how-to/join-a-host.md": 5,
    "docs/how-to/online-image.md": 3,
    "docs/how-to/rebuild-the-control-plane.md": 4,
    "docs/how-to/retire-a-host.md": 1,
    "docs/how-to/rotate-the-order-key.md": 1,
    "docs/how-to/try-on-a-real-cluster.md": 6,
    "docs/how-to/upgrade-and-uninstall.md": 1,
    "docs/how-to/use-your-own-cluster.md": 3,
}
"""How many blocks of each page no test runs."""

PAGES = documents.pages()
each_page = pytest.mark.parametrize("page", PAGES, ids=documents.name)


@pytest.mark.lab
@pytest.mark.timeout(1200)
@each_page
def test_the_commands_of_a_page_do_what_it_says(page: Path, demo: RunningDemo) -> None:
    if "kubectl guest orphans" in page.read_text():
        demo.hears_its_hosts()  # an earlier page may have restarted the operator less than a minute ago
    try:
        documents.run(page, directory=demo.directory, environment=demo.environment)
    finally:
        if page != PAGES[-1]:
            demo.restore()


@each_page
def test_each_block_of_commands_is_run_or_says_why_not(page: Path) -> None:
    unknown = {line: why for line, why in documents.not_run(page).items() if why not in NOT_RUN}
    assert not unknown, (
        f"give one of these reasons, or mend the page so that it can be run: {sorted(NOT_RUN)}"
    )
    assert all(each.text.strip() for each in documents.commands(page)), (
        "a console block shows its commands behind `$ `"
    )


def test_no_more_blocks_are_left_out_than_are_known() -> None:
    left_out = {documents.name(page): len(documents.not_run(page)) for page in PAGES}
    assert {page: count for page, count in left_out.items() if count} == LEFT_OUT, (
        "blocks that no test runs are counted in LEFT_OUT: change it, or better make the block one that can be run"
    )


def test_what_is_marked_as_run_first_is_the_demo() -> None:
    marked = {
        each.text.strip() for page in PAGES for each in documents.commands(page) if "run first" in each.marks
    }
    assert marked <= {"make demo"}
    assert running_demo.scripts() == ["hack/demo"]
