"""Whether libvirt offers KVM: it has QEMU look as QEMU's own user, who may be kept from a /dev/kvm that root opens.

As a program it prints the answer as JSON, for who asks in a process that can be ended.

Usage: python -m innkeeper.agent.drivers.libvirt.kvm_offer URI
"""

import json
import sys
from typing import Any

import libvirt

_REFUSALS = (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)


def why_not_offered(connection: Any) -> str | None:
    """Return why libvirt refuses KVM; None where it offers it, or cannot say. Blocking.

    Raises:
        libvirt.libvirtError: libvirt fails, which tells nothing of KVM.
    """
    try:
        connection.getDomainCapabilities(None, "x86_64", None, "kvm")
    except libvirt.libvirtError as error:
        if error.get_error_code() in _REFUSALS:
            return f"libvirt: {error.get_error_message()}"
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
    return None


def main() -> None:
    """Ask; libvirt answers this on no connection that only reads."""
    # Errors are raised; none is printed twice.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        why = why_not_offered(libvirt.open(sys.argv[1]))
    except libvirt.libvirtError as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(json.dumps({"whyNot": why}))


if __name__ == "__main__":
    main()
