"""The libvirt driver: QEMU machines under KVM, or emulated where the Host allows it.

`domain_xml` writes a machine down, `connection` and `guest_calls` are the ways to libvirt, `kvm_probe` finds out whether
KVM runs code, `kvm_offer` whether libvirt gives it to guests, `driver` puts them together. QEMU belongs to libvirt: it
lives on when the agent, or libvirt itself, ends.

Only `connection`, `guest_calls`, `kvm_offer`, `driver` and `usage` need libvirt-python.
"""
