"""The stream bench measures: a guest boots from an image that its host has never seen, and reads only a part of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "hack" / "bench" / "stream"


@pytest.mark.lab
@pytest.mark.timeout(500)
def test_a_guest_boots_from_a_slow_link_before_its_image_is_here() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--quick"], capture_output=True, text=True, timeout=480, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = json.loads(done.stdout.splitlines()[-1])
    (case,) = figures["cases"].values()
    assert case["local_marker_s"] > 0
    assert case["cold_marker_s"] > 0
    assert 0 < case["cold_marker_bytes"] < case["cold_marker_unpacked_bytes"], "it comes packed"
    assert case["cold_marker_unpacked_bytes"] < 300 * 1024**2, "the whole image has more"
    assert figures["export_mib_s"] > 0
    assert figures["qemu_nbd_mib_s"] > 0
