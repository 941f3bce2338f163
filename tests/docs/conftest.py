"""The demo that all documents start from, shared by all pages; INNKEEPER_KEEP_LAB leaves it for the next run."""

import os
from collections.abc import Iterator

import pytest

from tests.kit import running_demo
from tests.kit.running_demo import RunningDemo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """Start the demo; each page leaves it as it found it, but for the tutorial, which ends it."""
    assert os.geteuid() == 0, "the demo makes network namespaces: run this as root"
    kept = bool(os.environ.get("INNKEEPER_KEEP_LAB"))
    if not kept:
        running_demo.down()
    try:
        yield running_demo.up(tmp_path_factory.mktemp("innkeeper"))
    finally:
        if not kept:
            running_demo.down()
