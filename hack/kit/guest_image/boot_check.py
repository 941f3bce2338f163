"""A trial boot of the guest image: starts it under QEMU, emulated, and logs in by ssh.

The seed is what the agent gives to a guest: user-data with a key, meta-data, and a network configuration
with a static address for the card's MAC address. The image itself is never written: the guest runs on a
throw-away overlay. The network is QEMU's own, so nothing of this machine's network changes.
"""

import json
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kit import ports, steps
from kit.daemons import Daemon

MAC = "52:54:00:12:34:56"
ADDRESS = "10.0.2.15"
LOGIN_PROMPT = b"login: "
_POLL = 0.2
_LOGIN_WITHIN_S = 60.0  # of one try


@dataclass(frozen=True)
class Timing:
    """Seconds from QEMU's start: sshd answers, the console shows a login prompt, a command has run by ssh."""

    sshd: float
    login_prompt: float
    command: float


def run(image: Path, *, directory: Path, memory_mib: int, within: float) -> Timing:
    """Boot the image and log in; leave console log and files in `directory`.

    Raises:
        StepError: when the guest cannot be logged in to in time; the message holds the end of its console.
    """
    key = directory / "key"
    steps.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], doing="making a key")
    write_seed(directory / "seed", public_key=key.with_suffix(".pub").read_text())
    overlay = directory / "overlay.qcow2"
    command: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2"]
    command += ["-b", image, "-F", image.suffix.lstrip("."), overlay]
    steps.run(command, doing="making an overlay")
    (port,) = ports.choose(1, address="127.0.0.1")
    guest = Daemon("qemu", directory)
    begun = time.monotonic()
    guest.start(qemu(overlay, directory=directory, port=port, memory_mib=memory_mib))
    try:
        return _watch(guest, key=key, port=port, begun=begun, within=within)
    finally:
        guest.stop(grace=0)


def write_seed(directory: Path, *, public_key: str) -> None:
    """Write the three files that cloud-init's NoCloud source reads; JSON is YAML too."""
    directory.mkdir()
    user = {"ssh_authorized_keys": [public_key.strip()], "disable_root": False}
    card = {
        "match": {"macaddress": MAC},
        "addresses": [f"{ADDRESS}/24"],
        "routes": [{"to": "0.0.0.0/0", "via": "10.0.2.2"}],
        "nameservers": {"addresses": ["10.0.2.3"]},
    }
    network = {"version": 2, "ethernets": {"primary": card}}
    (directory / "user-data").write_text("#cloud-config\n" + json.dumps(user))
    (directory / "meta-data").write_text(
        json.dumps({"instance-id": "boot-check", "local-hostname": "boot-check"})
    )
    (directory / "network-config").write_text(json.dumps(network))


def qemu(overlay: Path, *, directory: Path, port: int, memory_mib: int) -> list[str]:
    """Return QEMU's command line."""
    seed = f"driver=vvfat,dir={directory / 'seed'},label=cidata,read-only=on"
    return [
        "qemu-system-x86_64",
        *("-accel", "tcg", "-machine", "q35", "-smp", "1", "-m", str(memory_mib), "-nodefaults"),
        *("-display", "none", "-serial", f"file:{directory / 'console.log'}"),
        *("-blockdev", f"driver=qcow2,node-name=root,file.driver=file,file.filename={overlay}"),
        *("-device", "virtio-blk-pci,drive=root,bootindex=1"),
        *("-blockdev", f"node-name=seed,{seed}", "-device", "virtio-blk-pci,drive=seed"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-{ADDRESS}:22"),
        *("-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile="),
        *("-device", "virtio-rng-pci"),
    ]


def _watch(guest: Daemon, *, key: Path, port: int, begun: float, within: float) -> Timing:
    console = guest.directory / "console.log"
    signs: dict[str, Callable[[], bool]] = {
        "sshd": lambda: _sshd_answers(port),
        "login_prompt": lambda: console.exists() and LOGIN_PROMPT in console.read_bytes(),
        "command": lambda: _logs_in(key, port=port),
    }
    seen: dict[str, float] = {}
    told = begun
    while len(seen) < len(signs):
        now = time.monotonic()
        if not guest.alive() or now - begun > within:
            why = "is not up in time" if guest.alive() else f"ended: {guest.log_tail()}"
            last = console.read_text(errors="replace")[-2000:] if console.exists() else ""
            raise steps.StepError(f"the guest {why}; its console ends:\n{last}")
        # Logging in costs the guest seconds, so it comes when all else is there.
        for name, there in signs.items():
            if name not in seen and (name != "command" or len(seen) == len(signs) - 1) and there():
                seen[name] = time.monotonic() - begun
        if now - told > steps.PROGRESS_INTERVAL:
            told = now
            steps.say(f"    {steps.seconds(now - begun)}: the guest boots ...")
        time.sleep(_POLL)
    return Timing(**seen)


def _sshd_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _logs_in(key: Path, *, port: int) -> bool:
    options = [
        "BatchMode=yes",
        "ConnectTimeout=5",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    ]
    command: list[str | Path] = ["ssh", "-q", "-F", "none", "-i", key, "-p", str(port)]
    command += [f"-o{option}" for option in options]
    command += ["debian@127.0.0.1", "sudo -n true && ip -brief address"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LOGIN_WITHIN_S)
    except subprocess.TimeoutExpired:
        return False  # a guest that is emulated may let us in and then take its time: the caller has the deadline
    return answer.returncode == 0 and ADDRESS in answer.stdout
