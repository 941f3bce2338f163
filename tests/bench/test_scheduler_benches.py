"""The benches of the scheduler still measure: a quick run of each, judged by its figures, never by the clock."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHES = Path(__file__).resolve().parents[2] / "hack" / "bench"


def quick(name: str, *options: str) -> dict[str, Any]:
    """Run a bench and return the figures of its last line."""
    command = [sys.executable, str(BENCHES / name), "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.timeout(290)
def test_decisions_cost_little_more_in_a_larger_fleet_and_hosts_take_little_memory() -> None:
    small, large = quick("decide", "--hosts", "1000", "20000")["hosts"].values()
    assert large["plain_us"] < 10 * small["plain_us"], "twenty times the hosts are not twenty times the work"
    assert max(small["bytes_per_host"], large["bytes_per_host"]) < 400


@pytest.mark.control_plane
@pytest.mark.timeout(290)
def test_both_schedulers_bind_everything() -> None:
    figures = quick("bind", "--name", "test-bench-bind")["hosts"]["100"]
    assert figures["binds_per_s"] > 0
    assert figures["peer_binds_per_s"] > 0
    assert figures["api_cpu_ms_per_bind"] > 0


@pytest.mark.control_plane
@pytest.mark.timeout(290)
def test_a_start_from_the_snapshot_reads_a_small_part() -> None:
    figures = quick("restart", "--name", "test-bench-restart")
    assert 3 * figures["snapshot_bytes"] < figures["list_bytes"]
