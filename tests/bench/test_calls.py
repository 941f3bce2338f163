"""The reason for an HTTP transport of our own still holds: see docs/decisions/0024-transport.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "hack" / "bench" / "calls"


@pytest.mark.timeout(180)
def test_a_call_costs_less_than_two_thirds_of_what_it_costs_with_aiohttp() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick"], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    # Processor time, not rates: tests share the machine with others.
    assert figures["innkeeper_us"] * 3 < figures["aiohttp_us"] * 2
