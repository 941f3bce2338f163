"""The packet filter of one guest as it is loaded: a change of it is a change that a person looks at."""

import os
from pathlib import Path

from innkeeper.agent.net import border, rules
from innkeeper.agent.net.border import Border
from innkeeper.agent.net.ports import ports_of
from innkeeper.domain.orders import OrderAddress
from innkeeper.views.host import Network
from tests.kit.agent_orders import order

GOLDEN = Path(__file__).with_name("filter.nft")


def test_the_filter_is_as_checked_in() -> None:
    four = order().addresses[0]
    six = OrderAddress(interface="eth0", address="fd00:9::1", prefix_length=64, mac=four.mac)
    ports = ports_of(order(addresses=[four, six]), Network(bridge="br0"))
    side = Border(hidden=("10.0.0.0/24", "fd00:9::/64"), closed=("ikv5-7f3c6d",))
    given = {"ikv5-7f3c6d": ("192.0.2.7", "fd00:7::7", "fe80::7")}
    text = rules.whole(ports, gone=["ikt000000000000"]) + "\n".join(border.table(side, given)) + "\n"
    if os.environ.get("INNKEEPER_UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
