"""The lock between scripts: one at a time, also across the removal of its file."""

import threading
from pathlib import Path

import pytest
from kit import locks

from tests.kit.waiting import until


def test_the_second_waits_for_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    order: list[str] = []

    def second() -> None:
        with locks.exclusive(path, waiting_for="the first"):
            order.append("second")

    with locks.exclusive(path, waiting_for="nobody"):
        waiter = threading.Thread(target=second)
        waiter.start()
        until(lambda: "waiting for the first" in capsys.readouterr().out, what="the second to wait")
        assert waiter.is_alive()
        order.append("first")
    waiter.join(timeout=10)
    assert order == ["first", "second"]


def test_a_file_that_its_holder_removed_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.exclusive(path, waiting_for="nobody"):
        path.unlink()
        with locks.exclusive(path, waiting_for="nobody"):
            assert path.exists()


def test_whoever_waited_for_a_removed_file_takes_the_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lock"
    held: list[int] = []

    def second() -> None:
        with locks.exclusive(path, waiting_for="the first"):
            held.append(path.stat().st_ino)

    with locks.exclusive(path, waiting_for="nobody"):
        waiter = threading.Thread(target=second)
        waiter.start()
        until(lambda: "waiting for the first" in capsys.readouterr().out, what="the second to wait")
        path.unlink()
    waiter.join(timeout=10)
    assert held == [path.stat().st_ino]
