"""Sixty random histories in which the API server's store is put back: no guest is switched, no address left unheld.

`hack/history --seed N --put-back --verbose` shows one again.
"""

import pytest

from tests.kit.history import histories
from tests.kit.history.putting_back import PutBackWorld

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_history(seed: int) -> None:
    history = histories.run(seed, world_kind=PutBackWorld)
    assert not history.complaints, history.story
