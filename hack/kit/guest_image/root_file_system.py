"""A directory with Debian 12, made by mmdebstrap from the machine's own Debian archive.

Needs root, since files belong to many users. What makes a guest unlike others (host keys, machine ID, logs)
is removed, so every guest makes its own at its first boot.
"""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from kit import paths, steps

SUITE = "bookworm"
DEFAULT_ARCHIVE = "http://deb.debian.org/debian/"
DEFAULT_SECURITY_ARCHIVE = "http://deb.debian.org/debian-security/"
PARTS = paths.SCRIPTS / "guest-image.d"

PACKAGES = (
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "systemd-resolved",  # name servers from the network configuration
    "dbus",
    "cloud-init",
    "cloud-guest-utils",  # growpart: the root file system follows the disk's size
    "openssh-server",
    "sudo",
    "iproute2",
    "iputils-ping",
    "netbase",
    "qemu-guest-agent",  # for readiness probes that ask it
    "udev",
    "zstd",  # packs the initramfs
    "usr-is-merged",  # instead of usrmerge, which would bring perl
)

# Nothing that a short-lived guest needs; each process costs a tenth of a second where there is no KVM.
MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "cloud-init-hotplugd.socket",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-network-generator.service",
    "systemd-pstore.service",
    "systemd-update-utmp-runlevel.service",
)
MASKED_GENERATORS = (
    "cloud-init-generator",  # decides whether cloud-init runs; here it always does
    "systemd-cryptsetup-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
)

_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
)
_REMOVED = (
    # cloud-init checks every configuration against a schema if it can, which costs a second at each stage.
    "usr/lib/python3/dist-packages/jsonschema",
    "etc/ssh/ssh_host_*",
    "etc/resolv.conf.dpkg*",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/random-seed",
    "var/log/journal",  # without it the journal stays in memory
    "var/log/*.log",
    "var/log/apt/*",
)


def make(root: Path) -> None:
    """Fill the directory `root`, which must not exist.

    Raises:
        StepError: when mmdebstrap fails.
    """
    overlay = root.with_name("overlay.tar")
    overlay.write_bytes(overlay_archive())
    command: list[str | Path] = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
    command += ["--architectures=amd64", f"--include={','.join(PACKAGES)}"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    # Before the kernel is installed, so that its initramfs is made with our settings, and only once.
    command += [f"--essential-hook=tar-in {overlay} /"]
    command += [SUITE, root, *sources()]
    steps.run(command, doing="installing Debian into a directory", show_last=True)
    in_root(root, "systemctl", "mask", *MASKED_UNITS)
    start_resolver_later(root)
    in_root(root, "systemctl", "enable", "systemd-networkd.service", "systemd-resolved.service")
    in_root(root, "systemctl", "add-wants", "multi-user.target", "cloud-init.target")
    generators = root / "etc/systemd/system-generators"
    generators.mkdir(exist_ok=True)
    for generator in MASKED_GENERATORS:
        (generators / generator).symlink_to("/dev/null")
    strip(root)


def sources() -> list[str]:
    """Return the lines of the image's sources.list, with this machine's own archive of Debian 12 if any."""
    known = _configured_archives()
    archive = known.get(("Debian", SUITE), DEFAULT_ARCHIVE)
    updates = known.get(("Debian", f"{SUITE}-updates"), archive)
    security = known.get(("Debian-Security", f"{SUITE}-security"), DEFAULT_SECURITY_ARCHIVE)
    return [
        f"deb {archive} {SUITE} main",
        f"deb {updates} {SUITE}-updates main",
        f"deb {security} {SUITE}-security main",
    ]


def _configured_archives() -> dict[tuple[str, str], str]:
    """Return the addresses of the archives that apt is set up for, by label and code name."""
    form = "$(LABEL)|$(CODENAME)|$(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = (line.split("|") for line in answer.stdout.splitlines())
    return {(row[0], row[1]): row[2] for row in rows if len(row) == form.count("|") + 1}


def overlay_archive() -> bytes:
    """Return our own files as a tar archive in which all belong to root, whoever owns the checkout."""

    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = "root"
        entry.mode = 0o755 if entry.isdir() else 0o644
        return entry

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted((PARTS / "overlay").iterdir()):
            archive.add(path, arcname=path.name, filter=owned_by_root)
    return buffer.getvalue()


def in_root(root: Path, *command: str) -> None:
    """Run a program of the image inside the directory."""
    steps.run(["chroot", root, *command], doing=f"running {command[0]} in the image")


def start_resolver_later(root: Path) -> None:
    """Start the name resolver beside sshd: as shipped it holds up the network, for over a second of work."""
    shipped = (root / "lib/systemd/system/systemd-resolved.service").read_text().splitlines()
    lines = [line for line in shipped if not line.startswith("Before=")]
    later = "\n".join(lines).replace("WantedBy=sysinit.target", "WantedBy=multi-user.target")
    later = later.replace("[Unit]", "[Unit]\nAfter=cloud-init.service\nBefore=shutdown.target", 1)
    in_root(root, "systemctl", "disable", "systemd-resolved.service")
    (root / "etc/systemd/system/systemd-resolved.service").write_text(later + "\n")


def strip(root: Path) -> None:
    """Remove what a guest must make for itself, and what nobody reads."""
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # Empty, not absent: then the first boot makes an ID and nothing else of a "first boot" happens.
    (root / "etc/machine-id").write_text("")
