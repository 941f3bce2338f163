"""Programs that the agent runs: what they print, and how each way of failing is told."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from innkeeper.agent import programs
from innkeeper.errors import InnkeeperError
from tests.kit.waiting import eventually


async def run(*arguments: str, program: str = "sh", deadline_s: float = 10, given: bytes = b"") -> bytes:
    return await programs.run(
        program, arguments, package="dash", failure=InnkeeperError, deadline_s=deadline_s, given=given
    )


async def test_what_it_prints_is_returned() -> None:
    assert await run("-c", "cat", given=b"hello") == b"hello"


async def test_a_program_that_is_not_there_is_told_with_its_package() -> None:
    with pytest.raises(InnkeeperError, match="no-such-program is not installed: install the package dash"):
        await run(program="no-such-program")


async def test_its_complaint_is_told_and_bounded() -> None:
    with pytest.raises(InnkeeperError, match="sh refuses: no, no") as failed:
        await run("-c", "while :; do echo 'no, no'; done | head -c 9999 >&2; exit 3")
    assert len(failed.value.message) < 400


@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "too slow"])
async def test_no_program_is_left_behind(tmp_path: Path, cancelled: object) -> None:
    """Neither one that takes too long nor one whose caller went away."""
    note = tmp_path / "pid"
    slow = asyncio.create_task(
        run("-c", f"echo $$ > {note}; exec sleep 600", deadline_s=600 if cancelled else 0.3)
    )
    found = await eventually(lambda: note.exists() and re.match(r"\d+\n", note.read_text()))
    pid = int(found[0])
    if cancelled:
        slow.cancel()
    with pytest.raises((InnkeeperError, asyncio.CancelledError)):
        await slow
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
