"""One process of a kind in a directory: the second one is told what it is the second of."""

from pathlib import Path

import pytest

from innkeeper.agent.only_one import AnotherOneError, only_one


@pytest.mark.parametrize("who", ["agent", "streaming process"])
def test_the_second_is_told_what_there_is_one_of(tmp_path: Path, who: str) -> None:
    lock = tmp_path / "lock"
    with (
        only_one(lock, who=who),
        pytest.raises(AnotherOneError, match=f"another {who} works in .*: one host has one {who}"),
        only_one(lock, who=who),
    ):
        pass
    with only_one(lock, who=who):
        pass
