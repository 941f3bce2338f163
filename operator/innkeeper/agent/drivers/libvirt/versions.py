"""Prints the versions of a libvirt and its hypervisor as JSON: for who asks in a process that can be ended.

Usage: python -m innkeeper.agent.drivers.libvirt.versions URI
"""

import json
import sys

import libvirt


def main() -> None:
    """Ask, read-only."""
    # Errors are raised; none is printed twice.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.openReadOnly(sys.argv[1])
        found = {"libvirt": connection.getLibVersion(), "hypervisor": connection.getVersion()}
    except libvirt.libvirtError as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
