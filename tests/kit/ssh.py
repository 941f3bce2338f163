"""Reaching a real guest from this machine: ping it, log in to it."""

import subprocess
from pathlib import Path

_OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=5")


def new_key(directory: Path) -> Path:
    """Make a key pair; the public one lies beside it."""
    path = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def public(key: Path) -> str:
    """Return the public key as `sshKeys` takes it."""
    return key.with_suffix(".pub").read_text().strip()


def pings(address: str) -> bool:
    """Tell whether an address answers."""
    done = subprocess.run(["ping", "-n", "-c", "1", "-W", "1", address], capture_output=True, check=False)
    return done.returncode == 0


def command(key: Path, address: str, words: str) -> list[str]:
    """Return what runs a command in a guest."""
    options = [word for option in _OPTIONS for word in ("-o", option)]
    return ["ssh", *options, "-i", str(key), f"debian@{address}", words]


def ssh(key: Path, address: str, words: str, *, stdin: str | None = None) -> str | None:
    """Run a command in a guest; return what it prints, or None where it failed or could not be reached."""
    done = subprocess.run(
        command(key, address, words),
        capture_output=True,
        text=True,
        check=False,
        input=stdin or "",
    )
    return done.stdout if done.returncode == 0 else None
