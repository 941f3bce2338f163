"""A guest that asks for its address by DHCP, as an image without cloud-init does: a real client (dhclient)."""

import subprocess

from tests.kit.host_net import HostNet
from tests.kit.lab import until


def ask(site: HostNet, guest: str, family: str, *, within_s: int = 40) -> dict[str, str]:
    """Ask in a guest's namespace, `-4` or `-6`; return what the client's script is told, such as `new_routers`.

    Raises:
        NotSoError: no answer came in time.
    """
    answer = site.directory / f"{guest}{family}.env"
    script = site.directory / "told"
    script.write_text(
        f'#!/bin/sh\ncase "$reason" in BOUND|BOUND6) env > {answer}.new; mv {answer}.new {answer};; esac\n'
    )
    script.chmod(0o755)
    files = ["-lf", str(site.directory / f"{guest}.leases"), "-pf", str(site.directory / f"{guest}.pid")]
    client_id = ["-D", "LL"] if family == "-6" else []
    command = ["dhclient", family, "-1", "-d", *client_id, *files, "-sf", str(script), "eth0"]
    process = subprocess.Popen(
        ["ip", "netns", "exec", guest, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(answer.exists, what=f"an answer to DHCP {family}", within_s=within_s)
    finally:
        process.kill()
        process.wait()
    return dict(line.split("=", 1) for line in answer.read_text().splitlines() if "=" in line)
