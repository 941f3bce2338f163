"""A dry run asks as its namespace would, and takes on nobody's identity."""

from typing import Any

import pytest

from innkeeper.domain.names import ID_ANNOTATION, host_namespace
from innkeeper.kube.informer import Change
from innkeeper.query import documents
from innkeeper.state.subset import Subset, key_of
from innkeeper.views.catalog import Flavor, Image
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host, HostAgent
from innkeeper.views.meta import View
from innkeeper.views.network import IPAddress, IPPool
from innkeeper.workers.explaining import Explainer
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.objects import DIGEST, guest_id, view
from tests.kit.queries import asked

PATH = f"/apis/{documents.API_VERSION}/namespaces/mine/explanations"
VICTIM = guest_id(7)
WHOLE_HOST = {"cpu": "8", "memory": "1Gi", "disk": "1Gi"}


def take(subset: Subset, document: dict[str, Any], kind: type[View]) -> None:
    made = view(document, kind)
    subset.apply(Change(key_of(made), None, made))


@pytest.fixture
def subset() -> Subset:
    """A host that another account's guest fills, and that holds the whole of that account's private image."""
    found = Subset()
    take(found, objects.host("a"), Host)
    spec = {"cluster": "lab", "network": {"bridge": "br0"}}
    held = {"images": [{"digest": DIGEST, "percent": 100}]}
    agent = {"metadata": {"name": "host", "namespace": host_namespace("a")}, "spec": spec, "status": held}
    take(found, agent, HostAgent)
    take(found, objects.flavor(), Flavor)
    take(found, objects.pool(), IPPool)
    take(found, objects.image("secret", namespace="theirs"), Image)
    take(found, objects.image("plain", namespace="mine", digest=f"sha256:{'e' * 64}"), Image)
    bound = {"host": "a", "cluster": "lab", "epoch": 1, "resources": WHOLE_HOST}
    take(found, objects.guest("victim", number=7, namespace="theirs", status=bound), Guest)
    return found


async def tried(
    subset: Subset, *, image: dict[str, str], interface: dict[str, Any] | None = None, **metadata: Any
) -> dict[str, Any]:
    interfaces = [{"name": "eth0", **(interface or {"pool": "lab"})}]
    spec = {"image": image, "flavor": "small", "interfaces": interfaces}
    body = {"spec": {"guest": {"metadata": {"name": "new", **metadata}, "spec": spec}}}
    clock = ManualClock()
    explainer = Explainer(subset, clock)
    async with (
        asked(subset, explainer=explainer, clock=clock) as client,
        client.post(PATH, json=body) as answer,
    ):
        assert answer.status == 201, await answer.text()
        found: dict[str, Any] = (await answer.json())["status"]
        return found


@pytest.mark.parametrize(
    "metadata",
    [{"uid": VICTIM}, {"annotations": {ID_ANNOTATION: VICTIM}}, {"namespace": "theirs", "uid": VICTIM}],
    ids=["by uid", "by annotation", "and in its namespace"],
)
async def test_a_dry_run_takes_on_no_guests_identity(subset: Subset, metadata: dict[str, Any]) -> None:
    subset.refusals.note(VICTIM, "a", until=1e9)
    plain = await tried(subset, image={"name": "plain"})
    assert "1 lacks cpu" in plain["message"].lower()
    assert await tried(subset, image={"name": "plain"}, **metadata) == plain


async def test_a_private_image_of_another_account_shows_no_host_that_holds_it(subset: Subset) -> None:
    subset.fleet.release(VICTIM)
    found = await tried(subset, image={"namespace": "theirs", "name": "secret"})
    assert found["verdicts"][0]["scores"].get("imageLocality", 0) == 0
    take(subset, objects.image("secret", namespace="theirs", shared=True), Image)
    found = await tried(subset, image={"namespace": "theirs", "name": "secret"})
    assert found["verdicts"][0]["scores"]["imageLocality"] == 100


async def test_it_does_not_tell_which_private_images_another_account_has(subset: Subset) -> None:
    """Who may create explanations could ask for one name after the other."""
    going = objects.image("going", namespace="theirs")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    take(subset, going, Image)
    take(subset, objects.image("broken", namespace="theirs", condition=objects.ready("False")), Image)
    told = {
        name: (await tried(subset, image={"namespace": "theirs", "name": name}))["blocked"]
        for name in ("secret", "going", "broken", "nothing")
    }
    assert "spec.shared" in told["secret"]["message"], "who wants it shared learns how"
    for name, found in told.items():
        found["message"] = found["message"].replace(name, "NAME")
    assert told["secret"] == told["going"] == told["broken"] == told["nothing"]


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "00:1b:21:00:00:01", "fe:00:00:00:00:01"])
async def test_a_mac_that_no_guest_can_have_is_refused(subset: Subset, mac: str) -> None:
    interfaces = [{"name": "eth0", "pool": "lab", "mac": mac}]
    spec = {"image": {"name": "plain"}, "flavor": "small", "interfaces": interfaces}
    body = {"spec": {"guest": {"metadata": {"name": "new"}, "spec": spec}}}
    async with asked(subset, clock=ManualClock()) as client, client.post(PATH, json=body) as answer:
        assert answer.status == 422
        assert "unicast and locally administered" in (await answer.json())["message"]


MAC = "02:00:00:00:00:07"
FIXED = {"addresses": [{"pool": "lab", "address": "10.7.0.3"}]}


def held(subset: Subset, *, by: str, name: str) -> None:
    """Have somebody hold the address that is asked for."""
    claim = objects.address(3, owner=VICTIM)
    claim["spec"]["owner"] |= {"namespace": by, "name": name}
    take(subset, claim, IPAddress)


def bound(subset: Subset, *, namespace: str, name: str) -> None:
    """Have another guest be bound to a MAC, on a host with room for more."""
    subset.fleet.release(VICTIM)
    addresses = [{"interface": "eth0", "pool": "lab", "address": "10.7.0.5", "mac": MAC}]
    little = {"cpu": "1", "memory": "1Gi", "disk": "1Gi"}
    status = {"host": "a", "cluster": "lab", "epoch": 1, "resources": little, "addresses": addresses}
    take(subset, objects.guest(name, number=8, namespace=namespace, status=status), Guest)


def reserved(subset: Subset, *, owner: str) -> None:
    reservation = {"address": "10.7.0.3", "owner": owner, "reason": "merger-with-acme"}
    take(subset, objects.pool(reservations=[reservation]), IPPool)


async def test_it_names_no_guest_of_another_namespace(subset: Subset) -> None:
    """Who may create explanations could ask for each address of a pool, one after the other."""
    held(subset, by="theirs", name="payroll-db")
    found = (await tried(subset, image={"name": "plain"}, interface=FIXED))["blocked"]
    assert found["reason"] == "AddressTaken"
    assert "held by a guest of another namespace" in found["message"]
    assert "kubectl get ipaddresses.innkeeper.dev default.10.7.0.3" in found["message"], "an admin can go on"
    told = [found]
    reserved(subset, owner="theirs/payroll-db")
    told.append((await tried(subset, image={"name": "plain"}, interface=FIXED))["blocked"])
    bound(subset, namespace="theirs", name="payroll-db")
    interface = {"pool": "lab", "mac": MAC}
    told.append((await tried(subset, image={"name": "plain"}, interface=interface))["blocked"])
    assert [each["reason"] for each in told] == ["AddressTaken", "AddressReserved", "MacInUse"]
    for each in told:
        assert not any(word in each["message"] for word in ("theirs", "payroll", "merger")), each


async def test_it_names_who_holds_something_in_the_same_namespace(subset: Subset) -> None:
    held(subset, by="mine", name="db")
    told = [(await tried(subset, image={"name": "plain"}, interface=FIXED))["blocked"]["message"]]
    reserved(subset, owner="mine/db")
    told.append((await tried(subset, image={"name": "plain"}, interface=FIXED))["blocked"]["message"])
    bound(subset, namespace="mine", name="db")
    interface = {"pool": "lab", "mac": MAC}
    told.append((await tried(subset, image={"name": "plain"}, interface=interface))["blocked"]["message"])
    assert told == [
        "10.7.0.3 is held by the Guest mine/db",
        "10.7.0.3 is reserved for mine/db: merger-with-acme",
        f"the MAC {MAC} belongs to the Guest mine/db in the cluster 'lab': ask for another one",
    ]
