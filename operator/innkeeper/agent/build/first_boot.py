"""Step 4: what cloud-init reads at the first boot: host name, keys, addresses, user data."""

import asyncio
from collections.abc import Iterator

import msgspec

from innkeeper.agent.build.build import Build
from innkeeper.agent.build.ports import Seed
from innkeeper.domain import default_routes
from innkeeper.domain.orders import Order, OrderAddress, digest_of
from innkeeper.domain.reasons import GuestReason


async def write(build: Build) -> None:
    """Write the seed as the newest order says: a pool's gateway may have been corrected since the last try.

    A guest that ran keeps the one that it read.
    """
    build.at(GuestReason.PREPARING_DISK)
    if build.was_built and await asyncio.to_thread(build.files.seed.exists):
        return
    order, mtu = build.newest, build.wanted().network.mtu
    seed = Seed(
        guest_id=order.guest_id,
        hostname=order.spec.hostname or order.name,
        ssh_keys=tuple(order.spec.ssh_keys),
        user_data=await _user_data(build, order),
        addresses=tuple(_addresses(order, mtu)),
    )
    await build.images.write_seed(seed, build.files.seed)


def _addresses(order: Order, mtu: int | None) -> Iterator[OrderAddress]:
    """Yield the addresses as their guest is to use them.

    It sends no larger packets than its network carries, and knows the gateways of its default routes alone.
    """
    leading = set(default_routes.interfaces(order.addresses).items())
    for address in order.addresses:
        known = [each for each in (address.mtu, mtu) if each is not None]
        leads = (default_routes.version(address), address.interface) in leading
        gateway = address.gateway if leads else None
        yield msgspec.structs.replace(address, mtu=min(known, default=None), gateway=gateway)


async def _user_data(build: Build, order: Order) -> bytes | None:
    if order.user_data_secret is not None:
        read = await build.images.user_data_in(build.files.seed)
        if read is not None and digest_of(read) == order.user_data_digest:
            return read  # a second try needs nobody who may be away
        return await build.user_data.user_data(order.user_data_secret, digest=order.user_data_digest)
    inline = order.spec.user_data.inline if order.spec.user_data else None
    return None if inline is None else inline.encode()
