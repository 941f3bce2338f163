"""Images on the host: downloads, the cache, guests' disks over them, and cloud-init's seeds.

Every byte from outside is counted, checked against a digest and looked at by our own parser before a QEMU tool may
open it. Nothing here knows orders or hypervisors.
"""
