"""A guest that asks for its address by DHCP, as an image without cloud-init does: a real client (dhclient)."""

import subprocess

from tests.kit.host_net import HostNet
from tests.kit.lab import until


def ask(site: HostNet, guest: str, family: str, *, within_s: int = 40, duid: str = "LL") -> dict[str, str]:
    """Ask in a guest's namespace, `-4` or `-6`; return what the client's script is told, such as `new_routers`.

    It asks as one that holds no lease yet; `duid` is the kind of name that it gives itself in DHCPv6.

    Raises:
        NotSoError: no answer came in time.
    """
    answer = site.directory / f"{guest}{family}.env"
    leases = site.directory / f"{guest}{family}.leases"
    for each in (answer, leases):
        each.unlink(missing_ok=True)
    script = site.directory / "told"
    script.write_text(
        f'#!/bin/sh\ncase "$reason" in BOUND|BOUND6) env > {answer}.new; mv {answer}.new {answer};; esac\n'
    )
    script.chmod(0o755)
    files = ["-lf", str(leases), "-pf", str(site.directory / f"{guest}.pid")]
    client_id = ["-D", duid] if family == "-6" else []
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
