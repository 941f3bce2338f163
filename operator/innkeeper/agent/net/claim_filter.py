"""Which frames of a bridge the kernel hands to who asks the wire, as a program of classic BPF. Pure.

Those are ARP, and solicitations and advertisements of neighbours, of the bridge's own network: what the host sends
itself stays out, and so do frames of VLANs, whose tags a socket does not show.
"""

import struct
from dataclasses import dataclass

_LOAD_BYTE, _LOAD_HALF, _AND, _EQUAL, _RETURN = 0x30, 0x28, 0x54, 0x15, 0x06
_BEYOND = 0xFFFFF000  # what follows is of the frame's metadata (linux/filter.h, SKF_AD_OFF)
_DIRECTION, _TAG, _HAS_TAG = _BEYOND + 4, _BEYOND + 44, _BEYOND + 48
_OUTGOING = 4
_VLAN_ID = 0x0FFF
_KIND, _NEXT_HEADER, _TYPE = 12, 14 + 6, 14 + 40
_ARP, _IPV6, _ICMPV6, _SOLICIT, _ADVERT = 0x0806, 0x86DD, 58, 135, 136
_WHOLE = 0xFFFF


@dataclass(frozen=True)
class _Step:
    """One instruction; where it compares it goes on at a label, or with the next."""

    code: int
    value: int
    same: str | None = None
    other: str | None = None


_PROGRAM: tuple[_Step | str, ...] = (
    _Step(_LOAD_BYTE, _DIRECTION),
    _Step(_EQUAL, _OUTGOING, same="refuse"),
    _Step(_LOAD_BYTE, _HAS_TAG),
    _Step(_EQUAL, 0, same="untagged"),
    _Step(_LOAD_HALF, _TAG),
    # A tag of VLAN 0 says a priority, and is of the network itself (IEEE 802.1Q).
    _Step(_AND, _VLAN_ID),
    _Step(_EQUAL, 0, other="refuse"),
    "untagged",
    _Step(_LOAD_HALF, _KIND),
    _Step(_EQUAL, _ARP, same="take"),
    _Step(_EQUAL, _IPV6, other="refuse"),
    _Step(_LOAD_BYTE, _NEXT_HEADER),
    _Step(_EQUAL, _ICMPV6, other="refuse"),
    _Step(_LOAD_BYTE, _TYPE),
    _Step(_EQUAL, _SOLICIT, same="take"),
    _Step(_EQUAL, _ADVERT, other="refuse"),
    "take",
    _Step(_RETURN, _WHOLE),
    "refuse",
    _Step(_RETURN, 0),
)


def program() -> list[bytes]:
    """Return the instructions, each a `struct sock_filter`."""
    labels: dict[str, int] = {}
    steps: list[_Step] = []
    for each in _PROGRAM:
        if isinstance(each, str):
            labels[each] = len(steps)
        else:
            steps.append(each)

    def jump(at: int, label: str | None) -> int:
        return 0 if label is None else labels[label] - at - 1

    return [
        struct.pack("HBBI", step.code, jump(at, step.same), jump(at, step.other), step.value)
        for at, step in enumerate(steps)
    ]
