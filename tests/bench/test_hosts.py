"""The hosts bench measures: guests are built beside many agents, and what that costs is counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "hack" / "bench" / "hosts"


@pytest.mark.control_plane
@pytest.mark.timeout(200)
def test_guests_are_built_beside_agents_that_join_in_two_steps_and_four_processes() -> None:
    wishes = ["--agents", "4", "8", "--each", "3", "--seconds", "4", "--name", "bench-hosts-test"]
    done = subprocess.run(
        [sys.executable, str(BENCH), *wishes], capture_output=True, text=True, timeout=190, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["p99_ms"] > 0
    assert figures["api_rss_mib"] > 0
    assert {row["agents"] for row in figures["rows"]} <= {4, 8}
    assert all(row["p50_ms"] <= row["p99_ms"] for row in figures["rows"])
