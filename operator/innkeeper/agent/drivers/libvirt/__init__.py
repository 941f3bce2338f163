"""The libvirt driver: QEMU machines under KVM, or emulated where the Host allows it.

`domain_xml` writes a machine down, `connection` and `guest_calls` are the ways to libvirt, `kvm_probe` finds out whether
KVM runs code, `qemu_user` whom guests' QEMUs run as, `driver` puts them together. QEMU belongs to libvirt: it
lives on when the agent, or libvirt itself, ends.

Only `connection`, `guest_calls`, `qemu_user`, `driver` and `usage` need libvirt-python.
"""
