"""Prints whom a libvirt runs QEMU as, as JSON: for who asks in a process that can be ended.

Whether that user may open /dev/kvm libvirt itself does not say: it tries KVM with a right over all files that guests'
QEMUs do not get.

Usage: python -m innkeeper.agent.drivers.libvirt.qemu_user URI
"""

import json
import re
import sys
from xml.etree import ElementTree as ET

import libvirt

_LABEL = re.compile(r"\+(\d+):\+(\d+)")


def qemu_user(capabilities: str) -> tuple[int, int] | None:
    """Return the user and the group that libvirt's capabilities name; None where they name none."""
    for model in ET.fromstring(capabilities).iterfind("./host/secmodel"):  # noqa: S314 - from libvirt itself
        if model.findtext("model") == "dac":
            for label in model.iterfind("baselabel"):
                if label.get("type") == "kvm" and (found := _LABEL.fullmatch(label.text or "")):
                    return int(found[1]), int(found[2])
    return None


def main() -> None:
    """Ask, read-only."""
    # Errors are raised; none is printed twice.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        found = qemu_user(libvirt.openReadOnly(sys.argv[1]).getCapabilities())
    except libvirt.libvirtError as error:
        raise SystemExit(str(error)) from error
    uid, gid = found if found is not None else (None, None)
    sys.stdout.write(json.dumps({"uid": uid, "gid": gid}))


if __name__ == "__main__":
    main()
