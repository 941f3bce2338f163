"""The claim bench measures, and no address is given twice by processes that see each other late."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "hack" / "bench" / "claim"


@pytest.mark.control_plane
@pytest.mark.timeout(200)
def test_processes_that_claim_side_by_side_never_hold_the_same_address() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick", "--seconds", "1", "--name", "bench-claim-test"],
        capture_output=True,
        text=True,
        timeout=190,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures["cases"]) == {"1@90", "4@90"}
    for case in figures["cases"].values():
        assert case["claims"] > 0
        assert case["duplicates"] == 0
        assert case["claims_per_s"] > 0
        assert case["peer_claims_per_s"] > 0
    assert max(figures["memory_kib"].values()) < 1024
