"""Innkeeper's own processes in a lab: the operator and the image server on this machine, an agent on each host.

Each runs under its own service account. The agent is started with its host's namespaces around it; QEMU is not its
child but libvirt's, so an agent that ends leaves its guests alone.
"""

import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from kit import host_api, paths, steps
from kit.daemons import Daemon
from kit.kubectl import Kubectl
from kit.lab import identities, machines
from kit.lab.plan import Plan

OPERATOR_METRICS = 9101
IMAGES_METRICS = 9102
AGENT_METRICS = 9103
IMAGES_PORT = 8470
FORWARDER_PORT = 6443
READY_WITHIN = 90.0
_POLL = 0.1


def install(plan: Plan) -> None:
    """Install the CRDs, the admission policies and the rights into the control plane."""
    kubectl = Kubectl(plan.admin_kubeconfig)
    files = paths.CHECKOUT / "charts" / "innkeeper" / "files"
    kubectl.apply(paths.CHECKOUT / "crds")
    kubectl.run("wait", "--for=condition=Established", "--timeout=30s", "-f", str(paths.CHECKOUT / "crds"))
    kubectl.apply(files / "rbac", files / "policies")


def start_operator(plan: Plan, *words: str | Path) -> None:
    """Start the operator under its own account; when it ends for want of its Lease, it is started again.

    `words` are more options. What it knew when it ended it knows again from its snapshot.
    """
    account = _account(plan, identities.OPERATOR)
    command: list[str | Path] = [
        sys.executable,
        Path(__file__).with_name("restarter.py"),
        paths.venv_program("innkeeper"),
        "operator",
        "--kubeconfig",
        identities.write_kubeconfig(plan, account),
        "--images-url",
        f"http://{plan.gateway}:{IMAGES_PORT}",
        "--listen",
        plan.gateway,
        "--metrics-port",
        str(OPERATOR_METRICS),
        "--snapshot-file",
        plan.directory / "operator.snapshot",
        *host_api.operator_arguments(host_api.authority(plan.directory), hosts_file=_hosts_file(plan)),
        *words,
    ]  # fmt: skip - a flag and its value share a line
    _start(daemon(plan, "operator"), command)


def prepare_host_api(plan: Plan) -> None:
    """Make what the operator reaches hosts with: its certificate, and a file that names no host before one has joined.

    An operator with a file that names hosts waits in a store in which none ever led: hosts might hold guests.
    """
    host_api.operator_pair(host_api.authority(plan.directory))
    if not _hosts_file(plan).exists():
        host_api.write_hosts_file(_hosts_file(plan), {})


def list_hosts(plan: Plan) -> None:
    """Name every host in the hosts file."""
    host_api.write_hosts_file(_hosts_file(plan), {host: plan.host_address(host) for host in plan.hosts})


def _hosts_file(plan: Plan) -> Path:
    return plan.directory / "hosts.yaml"


def start_images(plan: Plan, *, directory: Path) -> None:
    """Start the image server; it serves the files of `directory`, and unpacks compressed ones into a store of the lab."""
    account = _account(plan, identities.IMAGES)
    store = plan.directory / "image-store"
    store.mkdir(exist_ok=True)
    command: list[str | Path] = [
        paths.venv_program("innkeeper"),
        "images",
        "--kubeconfig",
        identities.write_kubeconfig(plan, account),
        "--directory",
        directory,
        "--store-directory",
        store,
        "--listen",
        plan.gateway,
        "--port",
        str(IMAGES_PORT),
        "--public-url",
        f"http://{plan.gateway}:{IMAGES_PORT}",
        "--allow-http-host",
        plan.gateway,
        "--metrics-port",
        str(IMAGES_METRICS),
    ]  # fmt: skip - a flag and its value share a line
    _start(daemon(plan, "images"), command)


def start_token_keeper(plan: Plan) -> None:
    """Start what renews tokens, and what carries bytes where the cluster is the user's."""
    _start(
        daemon(plan, "token-keeper"), [sys.executable, Path(__file__).with_name("token_keeper.py"), plan.name]
    )


def start_forwarder(plan: Plan) -> str | None:
    """Start the way to a user's API server; return its URL for hosts, or None where they need none."""
    if plan.kubeconfig is None:
        return None
    server = urlsplit(
        Kubectl(plan.admin_kubeconfig).run(
            "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"
        )
    )  # fmt: skip - one call, read as one
    script = Path(__file__).with_name("forwarder.py")
    target = [str(server.hostname), str(server.port or 443)]
    _start(daemon(plan, "forwarder"), [sys.executable, script, plan.gateway, str(FORWARDER_PORT), *target])
    return f"https://{plan.gateway}:{FORWARDER_PORT}"


def join(plan: Plan, host: str, *, server: str | None) -> None:
    """Wait until the operator made the host's identity, and write what its agent joins with."""
    kubectl = Kubectl(plan.admin_kubeconfig)
    account = identities.agent_account(plan, host)
    wait_for(lambda: account.renew(kubectl), what=f"the operator to make the identity of {host}", plan=plan)
    wait_for(
        lambda: identities.order_keys(kubectl, host) is not None, what=f"the order keys of {host}", plan=plan
    )
    keys = identities.order_keys(kubectl, host) or {}
    identities.write_join_file(plan, host, server=server, order_keys=keys)


def start_agent(plan: Plan, host: str) -> None:
    """Start the agent of a host, inside its namespaces."""
    command: list[str | Path] = [
        paths.venv_program("innkeeper"),
        "agent",
        "--join-file",
        plan.host_directory(host) / "join.json",
        "--state-dir",
        "/var/lib/innkeeper",
        "--listen",
        plan.host_address(host),
        "--metrics-port",
        str(AGENT_METRICS),
        *host_api.agent_arguments(host_api.authority(plan.directory), host, address=plan.host_address(host)),
    ]  # fmt: skip - a flag and its value share a line
    _start(agent(plan, host), machines.inside(plan, host, command))


def daemon(plan: Plan, name: str) -> Daemon:
    """Return one of the processes that run on this machine."""
    return Daemon(name, plan.directory)


def agent(plan: Plan, host: str) -> Daemon:
    """Return the agent of a host."""
    return Daemon("agent", plan.host_directory(host))


def everyone(plan: Plan) -> list[Daemon]:
    """Return all processes of the lab, in the order of their start."""
    here = [daemon(plan, each) for each in ("operator", "images", "token-keeper", "forwarder")]
    return [*here, *(agent(plan, host) for host in plan.hosts)]


def wait_until_ready(plan: Plan) -> None:
    """Wait until each process says at /readyz that it is."""
    addresses = {
        "operator": f"{plan.gateway}:{OPERATOR_METRICS}",
        "images": f"{plan.gateway}:{IMAGES_METRICS}",
        **{f"agent of {host}": f"{plan.host_address(host)}:{AGENT_METRICS}" for host in plan.hosts},
    }
    for name, address in addresses.items():
        wait_for(partial(is_ready, address), what=f"the {name} to be ready", plan=plan)


def is_ready(address: str) -> bool:
    """Ask one process."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/readyz", timeout=3) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's own number
    except OSError:
        return False


def wait_for(check: Callable[[], bool], *, what: str, plan: Plan) -> None:
    """Wait for a condition while all processes that were started live.

    Raises:
        StepError: when it does not come, with the end of the log of a process that died.
    """
    deadline = time.monotonic() + READY_WITHIN
    while not check():
        for each in everyone(plan):
            if each.pid_file.exists() and not each.alive():
                raise steps.StepError(f"{each.name} died; its log ({each.log_file}) ends:\n{each.log_tail()}")
        if time.monotonic() > deadline:
            raise steps.StepError(
                f"waited {READY_WITHIN:.0f} s for {what}; logs are in {plan.directory} and in its hosts/*"
            )
        time.sleep(_POLL)


def _account(plan: Plan, name: str) -> identities.Account:
    account = next(each for each in identities.accounts(plan) if each.name == name)
    if not account.renew(Kubectl(plan.admin_kubeconfig)):
        raise steps.StepError(
            f"the service account {name} is not there; charts/innkeeper/files/rbac makes it"
        )
    return account


def _start(process: Daemon, command: Sequence[str | Path]) -> None:
    if not process.alive():
        process.start(command, env={"PYTHONUNBUFFERED": "1"})
