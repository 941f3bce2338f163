"""Starting, watching and stopping one control plane.

Ready means that the API server says so at /readyz, asked with the administrator's certificate and trusting
only this instance's authority, so a stranger on the same port is never taken for it. All calls for one name
wait for each other. When a start fails, all is stopped again; logs and data stay until `down`.
"""

import contextlib
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from kit import locks, paths, ports, steps
from kit.control_plane import commands, programs, state
from kit.control_plane.programs import API_SERVER, CONTROLLER_MANAGER
from kit.control_plane.state import ControlPlane, Wishes
from kit.daemons import Daemon

READY_WITHIN = 90.0
# Asked to end, the API server first waits a minute for its watches, which their clients never end.
API_SERVER_GRACE = 3.0
_POLL = 0.1
_TRIES = 5
_IN_USE = "address already in use"


class PortTakenError(steps.StepError):
    """Another process took a port between its choice and its use."""


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold the lock of one instance."""
    lock = paths.run_directory(name) / "control-plane.lock"
    with locks.exclusive(lock, waiting_for=f"another hack/control-plane for {name}"):
        yield


def up(name: str, wishes: Wishes) -> tuple[ControlPlane, bool]:
    """Make the instance run and return it, with whether anything was to do.

    Raises:
        StepError: when it runs with other wishes, or does not become ready.
    """
    known = state.load(name)
    if known and known.wishes != wishes and any(daemon.alive() for daemon in known.daemons()):
        message = (
            f"control plane {name} runs with other options; run `hack/control-plane down --name {name}` first"
        )
        raise steps.StepError(message, exit_code=2)
    if known and known.wishes == wishes and is_ready(known):
        return known, False
    found = {program: str(path) for program, path in programs.find_or_build().items()}
    with steps.step(f"starting control plane {name} (Kubernetes {programs.KUBERNETES})"):
        for attempt in range(1, _TRIES + 1):
            plane = _plan(name, wishes, found, known=known)
            try:
                start(plane)
            except PortTakenError:
                if attempt == _TRIES or wishes.port is not None:
                    raise
                known = None
            else:
                break
    return plane, True


def _plan(name: str, wishes: Wishes, found: dict[str, str], *, known: ControlPlane | None) -> ControlPlane:
    """Decide the ports: those of before where there was a before, else free ones."""
    if known:
        port, etcd_port, peer_port = known.port, known.etcd_port, known.etcd_peer_port
    else:
        etcd_port, peer_port = ports.choose(2, address="127.0.0.1")
        port = 0
    if wishes.port is not None:
        port = wishes.port
    elif not port:
        port = next(
            each for each in ports.choose(3, address=wishes.listen) if each not in (etcd_port, peer_port)
        )
    return ControlPlane(
        name=name, wishes=wishes, port=port, etcd_port=etcd_port, etcd_peer_port=peer_port, programs=found
    )


def start(plane: ControlPlane) -> None:
    """Start what does not run and wait until the API server is ready.

    Raises:
        PortTakenError: when a port is in use by another process.
        StepError: when a process dies or the API server is not ready in time.
    """
    plane.save()
    try:
        if not plane.daemon(API_SERVER).alive():
            commands.prepare_files(plane)
        launch(plane, "etcd")
        launch(plane, API_SERVER)
        wait_until_ready(plane)
        launch(plane, CONTROLLER_MANAGER)
    except BaseException:
        stop(plane)
        raise


def launch(plane: ControlPlane, program: str) -> None:
    """Start one process of the instance unless it runs."""
    daemon = plane.daemon(program)
    if daemon.alive():
        return
    # Each start has a log of its own, so that the reason of a failure is never an old one.
    if daemon.log_file.exists():
        daemon.log_file.replace(daemon.log_file.with_suffix(".log.before"))
    lines = {
        "etcd": commands.etcd,
        API_SERVER: commands.api_server,
        CONTROLLER_MANAGER: commands.controller_manager,
    }
    daemon.start(lines[program](plane))


def wait_until_ready(plane: ControlPlane, *, within: float = READY_WITHIN) -> None:
    """Wait for the API server.

    Raises:
        PortTakenError: when a process died because its port was in use.
        StepError: when a process died of something else, or the time is over.
    """
    deadline = time.monotonic() + within
    while not api_server_is_ready(plane):
        for daemon in (plane.daemon("etcd"), plane.daemon(API_SERVER)):
            if not daemon.alive():
                raise _death(daemon)
        if time.monotonic() > deadline:
            log = plane.daemon(API_SERVER).log_tail()
            raise steps.StepError(
                f"the API server is not ready after {steps.seconds(within)}; its log ends:\n{log}"
            )
        time.sleep(_POLL)


def _death(daemon: Daemon) -> steps.StepError:
    tail = daemon.log_tail()
    kind = PortTakenError if _IN_USE in daemon.log_tail(200) else steps.StepError
    return kind(f"{daemon.name} died; its log ({daemon.log_file}) ends:\n{tail}")


def api_server_is_ready(plane: ControlPlane) -> bool:
    """Ask the API server itself."""
    admin = plane.authority.pair("admin")
    try:
        trust = ssl.create_default_context(cafile=plane.authority.own.certificate)
        trust.load_cert_chain(admin.certificate, admin.key)
        own = urllib.request.HTTPSHandler(context=trust)
        # No proxy: the address is this machine's own.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), own)
        with opener.open(f"{plane.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's own number
    except OSError:
        return False


def is_ready(plane: ControlPlane) -> bool:
    """Tell whether all processes live and the API server is ready."""
    return all(daemon.alive() for daemon in plane.daemons()) and api_server_is_ready(plane)


def stop(plane: ControlPlane, *, grace: float = 0) -> None:
    """Stop all processes, the last started first; by default at once, since a trial's data need no care."""
    for daemon in reversed(plane.daemons()):
        daemon.stop(grace=grace)


def down(name: str) -> bool:
    """Stop the instance and remove all that it left; tell whether there was one."""
    plane = state.load(name)
    if plane:
        stop(plane)
        plane.kubeconfig.unlink(missing_ok=True)
    there = state.directory_of(name).exists()
    shutil.rmtree(state.directory_of(name), ignore_errors=True)
    return there


def forget(name: str) -> None:
    """Remove the lock, which the caller holds, and the directory of the trial when nothing else is in it."""
    directory = paths.run_directory(name)
    (directory / "control-plane.lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
