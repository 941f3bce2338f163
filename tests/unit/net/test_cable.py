"""The DHCP server's cable: whatever is left of one, there is a whole one after the next look."""

import pytest

from innkeeper.agent.net.links import LinkError, Links
from tests.kit.kernel_links import BRIDGE, Kernel

OUTER, INNER = "ikdx", "ikex"


async def a_cable(kernel: Kernel) -> None:
    links = Links(kernel)  # type: ignore[arg-type] # as much of the kernel as a cable needs
    await links.read()
    await links.cable(OUTER, INNER, bridge=links.existing_bridge(BRIDGE), mtu=1500)


@pytest.mark.parametrize("left", [(), (OUTER,), (INNER,), (OUTER, INNER)])
async def test_whatever_is_left_of_a_cable_it_is_whole_after(left: tuple[str, ...]) -> None:
    kernel = Kernel(*left)
    await a_cable(kernel)
    assert kernel.links.keys() == {BRIDGE, OUTER, INNER}
    assert kernel.links[OUTER]["master"] == kernel.links[BRIDGE]["index"]


async def test_a_device_of_another_kind_is_not_removed_for_its_name() -> None:
    kernel = Kernel(INNER, kind="dummy")
    with pytest.raises(LinkError, match="is no veth"):
        await a_cable(kernel)
    assert INNER in kernel.links
