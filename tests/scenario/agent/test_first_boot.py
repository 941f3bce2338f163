"""What cloud-init will read at the first boot: as the orders say when its machine starts, and unchanged once it ran."""

import base64
from typing import Any

import msgspec
import pytest

from innkeeper.domain.orders import Order, digest_of
from innkeeper.kube.resources import SECRETS
from tests.kit.agent_host import AgentHost, failure
from tests.kit.agent_orders import guest_id, order

GUEST = guest_id()
CORRECTED = "10.0.0.254"
USER_DATA = b"#cloud-config\nhostname: desk\n"


def corrected(serial: int, **changes: Any) -> Order:
    """Return the order after the admin has corrected the gateway of the guest's pool."""
    addresses = [msgspec.structs.replace(each, gateway=CORRECTED) for each in order().addresses]
    return order(serial=serial, addresses=addresses, **changes)


def gateway_in_seed(host: AgentHost) -> str | None:
    """Return the gateway that cloud-init is told."""
    (address,) = host.images.seeds[GUEST].addresses
    return address.gateway


@pytest.mark.parametrize("point", ["before-define", "before-start"])
async def test_a_gateway_that_was_corrected_before_the_first_boot_is_told(
    host: AgentHost, point: str
) -> None:
    """The seed was written, and the start failed: DHCP would say another gateway than cloud-init."""
    host.gates.failures[point].append(failure("StartFailed"))
    host.start()
    await host.assign(order())
    await host.told(GUEST, "StartFailed")
    await host.assign(corrected(2))
    await host.told(GUEST, "Running")
    assert gateway_in_seed(host) == CORRECTED


async def test_one_that_was_corrected_while_the_image_came_is_told(host: AgentHost) -> None:
    """The first try goes on: it takes long, and what counts is what holds when its guest boots."""
    host.gates.held.add("fetch")
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Streaming")
    await host.assign(corrected(2))
    await host.told(GUEST, "Streaming")
    host.gates.open()
    await host.told(GUEST, "Running")
    assert gateway_in_seed(host) == CORRECTED


async def test_what_a_guest_has_read_stays(host: AgentHost) -> None:
    """Also where its machine has to be defined anew: cloud-init took the seed once, by its instance."""
    host.start()
    await host.assign(order())
    await host.told(GUEST, "Running")
    await host.assign(corrected(2, desired="Stopped"))
    await host.told(GUEST, "Stopped")
    await host.kill()
    await host.driver.remove(GUEST)
    host.start()
    await host.assign(corrected(3))
    await host.told(GUEST, "Running")
    assert gateway_in_seed(host) == "10.0.0.1"


async def test_user_data_that_was_read_once_is_not_asked_for_again(host: AgentHost) -> None:
    """A second try needs no API server for what lies in the seed, as the order signed it."""
    body = {
        "metadata": {"name": "user-data-1"},
        "data": {"userData": base64.b64encode(USER_DATA).decode()},
    }
    await host.admin.create(SECRETS, body, namespace=host.namespace)
    signed = {"user_data_secret": "user-data-1", "user_data_digest": digest_of(USER_DATA)}
    host.gates.failures["before-start"].append(failure("StartFailed"))
    host.gates.held.add("before-define")
    host.start()
    await host.assign(order(**signed))
    await host.gates.reached["before-define"].wait()
    await host.admin.delete(SECRETS, "user-data-1", namespace=host.namespace)
    host.gates.open()
    await host.told(GUEST, "Running")
    assert host.images.seeds[GUEST].user_data == USER_DATA


async def test_user_data_of_another_order_is_not_used(host: AgentHost) -> None:
    """The guest was here before and never ran; it is back with other user data."""
    before = digest_of(b"#cloud-config\n# of before\n")
    host.gates.failures["before-start"].append(failure("StartFailed"))
    for name, data in (("user-data-1", USER_DATA), ("of-before", b"#cloud-config\n# of before\n")):
        body = {"metadata": {"name": name}, "data": {"userData": base64.b64encode(data).decode()}}
        await host.admin.create(SECRETS, body, namespace=host.namespace)
    host.start()
    await host.assign(order(user_data_secret="of-before", user_data_digest=before))
    await host.told(GUEST, "StartFailed")
    await host.assign(order(serial=2, user_data_secret="user-data-1", user_data_digest=digest_of(USER_DATA)))
    await host.told(GUEST, "Running")
    assert host.images.seeds[GUEST].user_data == USER_DATA
