"""A VLAN's device is used only where it is what its name says: guests of one VLAN never speak in another."""

import pytest

from innkeeper.agent.net.links import LinkError, Links
from tests.kit.kernel_links import BRIDGE, Kernel

DEVICE, GUESTS = "ikl5-0f1575", "ikv5-0f1575"


async def a_vlan(kernel: Kernel) -> None:
    links = Links(kernel)  # type: ignore[arg-type] # as much of the kernel as a VLAN needs
    await links.read()
    await links.vlan(DEVICE, over=BRIDGE, vlan=5, bridge=links.existing_bridge(GUESTS), mtu=1500)


@pytest.fixture
def kernel() -> Kernel:
    found = Kernel()
    found.add(GUESTS, "bridge")
    found.add("eth3", "dummy")
    return found


async def test_the_device_that_was_made_is_used_again(kernel: Kernel) -> None:
    for _ in range(2):
        await a_vlan(kernel)
    made = kernel.links[DEVICE]
    assert (made["link"], made["master"]) == (kernel.links[BRIDGE]["index"], kernel.links[GUESTS]["index"])
    assert made["linkinfo"]["data"]["vlan_id"] == 5


@pytest.mark.parametrize(
    ("vlan", "over", "told"), [(7, BRIDGE, "VLAN 7 over 'br0'"), (5, "eth3", "VLAN 5 over 'eth3'")]
)
async def test_another_vlan_or_one_over_another_link_is_told_and_not_used(
    kernel: Kernel, vlan: int, over: str, told: str
) -> None:
    kernel.add(DEVICE, "vlan", over=over, vlan_id=vlan)
    with pytest.raises(LinkError, match=f"{DEVICE}.*{told}.*not VLAN 5 over 'br0'.*ip link delete"):
        await a_vlan(kernel)
    assert "master" not in kernel.links[DEVICE]


async def test_one_over_a_link_of_another_namespace_is_told(kernel: Kernel) -> None:
    """Its index there may be that of the bridge here."""
    kernel.add(DEVICE, "vlan", over=BRIDGE, vlan_id=5)
    kernel.links[DEVICE]["link_netnsid"] = 0
    with pytest.raises(LinkError, match="VLAN 5 over another link"):
        await a_vlan(kernel)
