"""A bootable disk made from a directory, without a mount, a loop device or a running guest.

One MBR partition holds an ext4 file system that mke2fs fills itself; GRUB's image lies in the gap before it,
where `boot.img` looks for it. The disk boots on a BIOS. Files are sparse: what is empty takes no room.
"""

import os
from pathlib import Path

from kit import steps
from kit.guest_image.root_file_system import PARTS

SECTOR = 512
MEBIBYTE = 1024 * 1024
SIZE = 2048 * MEBIBYTE
PARTITION_START = MEBIBYTE
LABEL = "innkeeper-root"
GRUB = Path("/usr/lib/grub/i386-pc")

_BOOT_CODE_BYTES = 440
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "configfile", "linux", "serial", "terminal")
# Of the features that newer mke2fs turn on, these are unknown to GRUB 2.06 or to Debian 12's own e2fsck.
_FEATURES = "^metadata_csum_seed,^orphan_file"


def make(disk: Path, *, root: Path) -> None:
    """Write the raw disk `disk` with the contents of the directory `root`.

    Raises:
        StepError: when a tool fails, or the contents do not fit.
    """
    with disk.open("wb") as file:
        file.truncate(SIZE)
    layout = f"label: dos\nstart={PARTITION_START // SECTOR}, type=83, bootable\n"
    steps.run(["sfdisk", "--quiet", disk], doing="writing the partition table", stdin=layout)
    make_file_system(disk, root=root)
    install_boot_loader(disk)


def make_file_system(disk: Path, *, root: Path) -> None:
    """Make and fill the file system in place."""
    blocks = (SIZE - PARTITION_START) // 4096
    extended = f"offset={PARTITION_START},lazy_itable_init=0,assume_storage_prezeroed=1"
    command: list[str | Path] = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-i", "16384", "-m", "1"]
    command += ["-L", LABEL, "-O", _FEATURES, "-E", extended, "-d", root, disk, str(blocks)]
    steps.run(command, doing="making and filling the file system")


def install_boot_loader(disk: Path) -> None:
    """Put GRUB into the first sector and the gap before the partition."""
    core = disk.with_name("core.img")
    command: list[str | Path] = [
        "grub-mkimage",
        "--format=i386-pc",
        f"--directory={GRUB}",
        f"--output={core}",
    ]
    command += ["--prefix=/boot/grub", f"--config={PARTS / 'grub-early.cfg'}", *_GRUB_MODULES]
    steps.run(command, doing="making the boot loader")
    boot_code = (GRUB / "boot.img").read_bytes()[:_BOOT_CODE_BYTES]
    image = core.read_bytes()
    if SECTOR + len(image) > PARTITION_START:
        raise steps.StepError(f"GRUB's image of {len(image)} bytes does not fit before the partition")
    # As built, boot.img loads the sector after itself, and that one the rest of a contiguous image.
    handle = os.open(disk, os.O_WRONLY)
    try:
        os.pwrite(handle, boot_code, 0)
        os.pwrite(handle, image, SECTOR)
    finally:
        os.close(handle)
    core.unlink()
