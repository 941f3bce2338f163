"""The rebuild bench measures: guests are really made anew, and compared with what their hosts hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "hack" / "bench" / "rebuild"


@pytest.mark.control_plane
@pytest.mark.timeout(200)
def test_all_guests_are_back_unchanged() -> None:
    wishes = ["--hosts", "4", "--guests", "40", "--name", "bench-rebuild-test"]
    done = subprocess.run(
        [sys.executable, str(BENCH), *wishes], capture_output=True, text=True, timeout=190, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["lost"], figures["changed"]) == (0, 0)
    assert figures["seconds_per_10000"] > 0
