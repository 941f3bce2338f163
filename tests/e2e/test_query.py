"""The query API through the API server, as the lab registers it: who is let in, and what the plug-in prints."""

import json
from collections.abc import Iterator

import pytest
from kit import steps

from tests.kit.lab import Lab, guest, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

BASE = "/apis/query.innkeeper.dev/v1alpha1/namespaces"


@pytest.fixture
def alice(lab: Lab) -> Iterator[str]:
    """Somebody who may edit the default namespace, and no other."""
    lab.kubectl.run("create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice", "-n", "default")
    yield "alice"
    lab.kubectl.run("delete", "rolebinding", "alice", "-n", "default")


def test_an_account_sees_its_own_guests_and_nobody_else_s(lab: Lab, alice: str) -> None:
    lab.apply(
        guest(
            "asked-about", image={"name": "idle"}, placement={"hostSelector": {"matchLabels": {"no": "such"}}}
        )
    )

    def listed() -> bool:
        found = json.loads(lab.kubectl.run("get", "--raw", f"{BASE}/default/guestviews", f"--as={alice}"))
        return "asked-about" in [each["metadata"]["name"] for each in found["items"]]

    until(listed, what="alice to see the guest")
    for path, who in (("kube-system/guestviews", alice), ("default/guestviews", "bob")):
        with pytest.raises(steps.StepError, match=r"forbidden|cannot list"):
            lab.kubectl.run("get", "--raw", f"{BASE}/{path}", f"--as={who}")


def test_the_plug_in_says_why_not(lab: Lab, alice: str) -> None:
    lab.apply(
        guest(
            "asked-about", image={"name": "idle"}, placement={"hostSelector": {"matchLabels": {"no": "such"}}}
        )
    )
    until(lambda: lab.plugin("explain", "asked-about").returncode == 0, what="the guest to be known")
    told = lab.plugin(f"--as={alice}", "explain", "asked-about", "--exit-code")
    assert told.returncode == 1
    assert "0 of 2 hosts fit: 2 are left out by hostSelector" in told.stdout
    assert "host-a" in told.stdout
    refused = lab.plugin("--as=bob", "explain", "asked-about")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert 'User "bob" cannot get resource "guestviews/explanation"' in refused.stderr
    lab.kubectl.run("delete", "guest", "asked-about", "-n", "default")
