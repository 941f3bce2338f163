"""Small disk images, made in memory."""

import struct

SECTOR = 512


def raw_disk(size: int) -> bytes:
    """Return a raw disk with a partition table: one partition from sector 1 on."""
    sectors = size // SECTOR
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 0x83, b"\0\0\0", 1, sectors - 1)
    table = b"\0" * 446 + entry + b"\0" * 48 + b"\x55\xaa"
    return table + b"guest" * 100 + b"\0" * (size - SECTOR - 500)


def qcow2_disk(*, virtual_size: int, backing_offset: int = 0, backing_size: int = 0) -> bytes:
    """Return a qcow2 file of version 3 that holds no data; with a backing file where an offset is given."""
    l1_entries = -(-virtual_size // (512 * 1024**2))
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(
            b"QFI\xfb",
            3,
            backing_offset,
            backing_size,
            16,
            virtual_size,
            0,
            l1_entries,
            3 * 65536,
            65536,
            1,
            0,
            0,
        ),
        *(0, 0, 0, 4, 104),
    )
    return header.ljust(4 * 65536, b"\0")
