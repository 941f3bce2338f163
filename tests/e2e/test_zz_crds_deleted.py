"""Deleting the CRDs destroys no guest. Last of all, since the lab's API is gone afterwards."""

import os

import pytest
from kit import paths

from tests.kit.lab import Lab, NotSoError, guest, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]


def test_deleting_the_crds_destroys_no_guest(lab: Lab) -> None:
    """Every object of Innkeeper goes with its CRD; the guest runs on, and its QEMU is the same."""
    lab.apply(guest("survivor"))
    lab.wait_ready("survivor", reason="Running")
    guest_id = lab.guest_id("survivor")
    pid = lab.qemu_pid(guest_id)
    lab.kubectl.run("delete", "--wait=false", "-f", str(paths.CHECKOUT / "crds"))
    # Long enough for every watcher to see the deletions and act on them, were it to.
    watched_for = int(os.environ.get("INNKEEPER_CRDS_GONE_S", "20"))
    with pytest.raises(NotSoError):
        until(lambda: lab.qemu_pids(guest_id) != [pid], what="the guest to be touched", within_s=watched_for)
    assert lab.qemu_pid(guest_id) == pid
