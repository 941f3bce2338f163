"""What starting a machine costs: by the agent, by `virsh create` of the same XML, by the same QEMU command line.

`by_hand` does the last two on a host of a lab, with `inside` in the host's namespaces; `measure` does all three.
"""
