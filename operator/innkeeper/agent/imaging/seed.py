"""What cloud-init gets: a NoCloud seed, which is a small ISO 9660 volume labelled `cidata`.

Keys go into the meta-data, so they join the keys of the user's own user data and never replace them; that user data is
passed on as it is. Documents are JSON, which every YAML reader takes: no text of a user can change their structure.
"""

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from innkeeper.agent.build.ports import Seed
from innkeeper.agent.imaging import iso9660
from innkeeper.domain.orders import OrderAddress

LABEL = "cidata"
_USER_DATA = "user-data"
_MOST_BYTES = 1024 * 1024  # all that is in a seed has a limit: keys, addresses, user data
NO_USER_DATA = b"#cloud-config\n{}\n"


def seed_volume(seed: Seed) -> bytes:
    """Return the seed; the same one gives the same bytes."""
    files = {"meta-data": _json(_meta_data(seed)), _USER_DATA: seed.user_data or NO_USER_DATA}
    if seed.addresses:
        files["network-config"] = _json(network_config(seed.addresses))
    return iso9660.volume(LABEL, files)


def write(seed: Seed, target: Path) -> None:
    """Write the seed whole or not at all. It may hold secrets: only its owner, and later QEMU's user, may read it."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(seed_volume(seed))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def user_data_in(path: Path) -> bytes | None:
    """Return the user data of a seed that was written here; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return iso9660.files(file.read(_MOST_BYTES)).get(_USER_DATA)
    except (OSError, ValueError, LookupError, struct.error):
        return None


def _meta_data(seed: Seed) -> dict[str, Any]:
    return {
        "instance-id": seed.guest_id,
        "local-hostname": seed.hostname,
        "public-keys": list(seed.ssh_keys),
    }


def network_config(addresses: Sequence[OrderAddress]) -> dict[str, Any]:
    """Return the network configuration (version 2): interfaces are known by their MAC, addresses are static.

    Adverts say nothing else than this, so they are not listened to: a second default route would be of no use.
    """
    ethernets: dict[str, Any] = {}
    for address in addresses:
        card = ethernets.setdefault(
            address.interface,
            {
                "match": {"macaddress": address.mac},
                "set-name": address.interface,
                "dhcp4": False,
                "dhcp6": False,
                "accept-ra": False,
                "addresses": [],
            },
        )
        card["addresses"].append(f"{address.address}/{address.prefix_length}")
        if address.gateway is not None:
            everywhere = "::/0" if ":" in address.gateway else "0.0.0.0/0"
            card.setdefault("routes", []).append({"to": everywhere, "via": address.gateway})
        if address.mtu is not None:
            card["mtu"] = min(address.mtu, card.get("mtu", address.mtu))
        for kind, values in (("addresses", address.dns), ("search", address.search_domains)):
            for value in values:
                known = card.setdefault("nameservers", {}).setdefault(kind, [])
                if value not in known:
                    known.append(value)
    return {"version": 2, "ethernets": ethernets}


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
