"""The lab's network: one bridge in a namespace of its own, with a cable to each host and one to this machine.

Nothing of this machine's own network is changed but one interface that is added. Each host sees its cable behind
a bridge `br0`, which is where guests are plugged in, as on a real host.
"""

import subprocess

from kit import steps
from kit.lab.plan import Plan

HOST_BRIDGE = "br0"


def up(plan: Plan) -> None:
    """Make what is missing, after a call that was cut off too; what is there stays."""
    _namespace(plan.switch)
    if not _link_exists("sw0", namespace=plan.switch):
        _ip("-n", plan.switch, "link", "add", "sw0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
    _ip("-n", plan.switch, "link", "set", "sw0", "up")
    _join_this_machine(plan)
    for number, host in enumerate(plan.hosts):
        _join_host(plan, host, port=f"p{number}")


def down(plan: Plan) -> None:
    """Remove it all; an interface ends with the namespace that holds one of its ends."""
    # First: with the namespaces it would go by itself, and some time after them.
    if _link_exists(_uplink(plan)):
        _ip("link", "delete", _uplink(plan))
    for namespace in (*map(plan.namespace, plan.hosts), plan.switch):
        if namespace in _namespaces():
            _ip("netns", "delete", namespace)


def _uplink(plan: Plan) -> str:
    return f"ik{plan.tag}"


def _join_this_machine(plan: Plan) -> None:
    uplink = _uplink(plan)
    if not _link_exists(uplink):
        _ip("link", "add", uplink, "type", "veth", "peer", "name", "up0", "netns", plan.switch)
    _ip("addr", "replace", f"{plan.gateway}/24", "dev", uplink)
    _ip("link", "set", uplink, "up")
    _ip("-n", plan.switch, "link", "set", "up0", "master", "sw0", "up")


def _join_host(plan: Plan, host: str, *, port: str) -> None:
    namespace = plan.namespace(host)
    _namespace(namespace)
    inside = ("-n", namespace)
    if not _link_exists(HOST_BRIDGE, namespace=namespace):
        _ip(*inside, "link", "add", HOST_BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    if not _link_exists("eth0", namespace=namespace):
        peer = ("peer", "name", port, "netns", plan.switch)
        _ip("link", "add", "eth0", "netns", namespace, "type", "veth", *peer)
    _ip(*inside, "link", "set", "eth0", "master", HOST_BRIDGE, "up")
    _ip(*inside, "addr", "replace", f"{plan.host_address(host)}/24", "dev", HOST_BRIDGE)
    _ip(*inside, "link", "set", HOST_BRIDGE, "up")
    _ip("-n", plan.switch, "link", "set", port, "master", "sw0", "up")


def _namespace(name: str) -> None:
    if name not in _namespaces():
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")


def _namespaces() -> set[str]:
    return {line.split()[0] for line in _ip("netns", "list").splitlines() if line.strip()}


def _link_exists(name: str, *, namespace: str | None = None) -> bool:
    where = ["-n", namespace] if namespace else []
    found = subprocess.run(["ip", *where, "link", "show", name], capture_output=True, check=False)
    return found.returncode == 0


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise steps.StepError(f"`ip {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout
