"""Debian guests that boot while their image is still arriving, whatever happens to the stream meanwhile."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import paths

from tests.kit.lab import Lab, guest, until
from tests.kit.ssh import public, ssh

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]

BOOT_S = 200
STREAM_S = 90  # three times what an agent gives a stream to come
STREAMED = "streamed"


@pytest.fixture
def image(lab: Lab, images: Path) -> Iterator[Path]:
    """The raw Debian image at the source, unknown to all hosts."""
    built = paths.cache_root() / "guest-image"
    path = images / "streamed.raw"
    shutil.copy(built / "debian-12.raw", path)
    digest = json.loads((built / "debian-12.json").read_text())["raw"]["sha256"]
    source = {"source": {"directory": {"path": path.name}}, "format": "raw", "digest": f"sha256:{digest}"}
    lab.forget_images()
    lab.apply(
        {
            "apiVersion": "innkeeper.dev/v1alpha1",
            "kind": "Image",
            "metadata": {"name": STREAMED, "namespace": "default"},
            "spec": source,
        }
    )
    lab.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", "image", STREAMED, deadline=150)
    yield path
    lab.kubectl.run("delete", "guest", STREAMED, "--timeout=120s", "--ignore-not-found", deadline=150)
    lab.kubectl.run("delete", "image", STREAMED, "--timeout=60s", deadline=90)
    lab.forget_images()


def boot(lab: Lab, key: Path) -> str:
    """Have a guest boot the image; return its address as soon as its machine runs."""
    lab.apply(
        guest(
            STREAMED,
            resources={"cpu": "1", "memory": "512Mi", "disk": "4Gi"},
            image={"name": STREAMED},
            sshKeys=[public(key)],
        )
    )
    built = lab.wait_ready(STREAMED, reason="Running", within_s=120)
    return str(built["status"]["addresses"][0]["address"])


def until_one_stream(lab: Lab, host: str, *, but: int | None = None) -> int:
    """Wait until a host has one streaming process, and it is not that one; return its pid."""

    def one() -> int | None:
        pids = lab.stream_pids(host)
        return pids[0] if len(pids) == 1 and pids[0] != but else None

    found = until(one, what="one new stream", within_s=STREAM_S)
    assert found is not None
    return found


def errors_seen(lab: Lab, key: Path, address: str) -> list[str]:
    """Return what the guest's kernel says of errors of its disk."""
    said = ssh(key, address, "sudo dmesg") or ""
    lines = [*lab.console(STREAMED).splitlines(), *said.splitlines()]
    return [line for line in lines if "I/O error" in line or "EXT4-fs error" in line]


def test_a_guest_sees_no_error_while_its_stream_and_its_agent_are_killed(
    lab: Lab, key: Path, image: Path
) -> None:
    """In the end its disk is its own: neither the source nor the stream is needed any more."""
    address = boot(lab, key)
    host, pid = lab.host_of(STREAMED), lab.qemu_pid(lab.guest_id(STREAMED))
    assert "Streaming" in lab.condition(STREAMED)["message"]
    stream = until_one_stream(lab, host)
    for turn in range(3):
        os.kill(stream, signal.SIGKILL)
        if turn == 1:
            lab.restart_agent(host)
        stream = until_one_stream(lab, host, but=stream)
    until(lambda: ssh(key, address, "true") is not None, what="ssh", within_s=BOOT_S)
    assert lab.qemu_pid(lab.guest_id(STREAMED)) == pid, "the same machine, from the first moment on"
    assert errors_seen(lab, key, address) == []

    local = "the image is Local"
    until(lambda: lab.condition(STREAMED)["message"] == local, what="the disk to be whole", within_s=120)
    image.unlink()
    until(lambda: not lab.stream_pids(host), what="the stream to end", within_s=90)
    assert lab.condition(STREAMED)["status"] == "True"
    command = "sudo dd if=/dev/vda bs=1M iflag=direct | wc -c"
    read = until(lambda: ssh(key, address, command), what="the guest to read all of its disk", within_s=120)
    assert int(read) == 4 * 1024**3
    assert errors_seen(lab, key, address) == []


def test_a_guest_waits_for_a_source_that_is_away_and_never_reads_wrong_bytes(
    lab: Lab, key: Path, image: Path
) -> None:
    """The source vanishes, comes back with other bytes, and is mended: the guest boots all the same."""
    address = boot(lab, key)
    away = image.with_suffix(".away")
    image.rename(away)

    def told(word: str) -> bool:
        return word in lab.condition(STREAMED)["message"]

    until(lambda: told("404") or told("502"), what="the missing source to be told", within_s=60)
    other = image.with_suffix(".other")
    content = bytearray(away.read_bytes())
    for start in range(0, len(content), 64 * 1024):
        content[start] ^= 1
    other.write_bytes(content)
    other.rename(image)

    def paused() -> bool:
        found = lab.condition(STREAMED)
        return (found["status"], found["reason"]) == ("False", "ImageChunkMismatch")

    until(paused, what="the guest to be paused", within_s=60)
    away.replace(image)
    until(lambda: ssh(key, address, "true") is not None, what="ssh", within_s=BOOT_S)
    lab.wait_ready(STREAMED, reason="Running")
    assert errors_seen(lab, key, address) == []
