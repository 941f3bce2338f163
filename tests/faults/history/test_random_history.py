"""Two hundred random histories of the whole system: whatever happens, nothing is lost, nothing runs twice, all converges.

What each of them checks is in `tests/kit/history`; `hack/history --seed N --verbose` shows one again.
"""

import pytest

from tests.kit.history import histories

SEEDS = range(200)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_history(seed: int) -> None:
    history = histories.run(seed)
    assert not history.complaints, history.story
