"""The reason for an informer of our own still holds: see docs/decisions/0001-own-informer-for-hot-kinds.md."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "hack" / "bench" / "kopf_intake"


@pytest.mark.timeout(180)
def test_the_informer_takes_in_more_and_loses_no_deletion() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick"], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    ours, kopf = figures["informer_uvloop"], figures["kopf_uvloop"]
    # Processor time, not rates: tests share the machine with others.
    assert ours["cpu_us_per_event"] * 3 < kopf["cpu_us_per_event"]
    assert ours["deletion_after_relist"] == "seen"
