"""create --wait and wait as processes: what they print in a pipe and on a terminal, and what they end with."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.cli.guest.exit_codes import ExitCode
from tests.kit.fake_kubectl import FakeKubectl
from tests.kit.lab import until
from tests.kit.terminal import read_until

PATH = "/apis/innkeeper.dev/v1alpha1/namespaces/default/guests/web"
INTERRUPTED = 130  # as a shell tells of Ctrl-C
CREATE = ["create", "web", "--image=debian-12", "--flavor=small", "--pool=lab"]
Document = dict[str, Any]


@pytest.fixture
def kubectl(tmp_path: Path) -> FakeKubectl:
    made = FakeKubectl(tmp_path)
    made.install()
    return made


def guest(
    reason: str = "Pending", message: str = "", *, ready: str = "False", uid: str = "u1", **status: Any
) -> Document:
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
    }
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": uid, "generation": 1},
        "spec": {"image": {"name": "debian-12"}, "power": "Running"},
        "status": {**status, "conditions": [condition]},
    }


BOUND = {"host": "a", "addresses": [{"interface": "eth0", "address": "10.0.0.5"}]}
READY = guest("Running", ready="True", **BOUND)


def stalled(reason: str) -> Document:
    found = guest(reason)
    condition = {
        "type": "Stalled",
        "status": "True",
        "reason": reason,
        "message": "m",
        "observedGeneration": 1,
    }
    found["status"]["conditions"].append(condition)
    return found


def test_create_prints_the_urn_and_every_step_with_its_time(kubectl: FakeKubectl) -> None:
    kubectl.lay_created(guest())
    kubectl.lay(PATH, guest("Starting", **BOUND))
    process = subprocess.Popen(
        kubectl.command(*CREATE, "--wait=ready"),
        env=kubectl.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    # The URN is there before the guest is.
    assert process.stdout.readline() == "guest.innkeeper.dev/web created\n"
    assert process.stdout.readline() == "urn:innkeeper:guest:u1\n"
    assert process.stderr.readline().endswith(" s  web: address: a 10.0.0.5; Starting\n")
    # Other words about the same step are no line of their own.
    kubectl.lay(PATH, guest("Starting", "soon", **BOUND))
    before = len(kubectl.calls())
    until(lambda: len(kubectl.calls()) > before + 1, what="more looks at the guest")
    kubectl.lay(PATH, READY)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.DONE
    assert "soon" not in errors
    assert out == "guest.innkeeper.dev/web reached ready\n"
    assert errors.endswith(" s  web: ready: a 10.0.0.5; Running\n")


@pytest.mark.parametrize(
    ("lie", "words", "code", "told"),
    [
        (lambda: READY, [], ExitCode.DONE, ""),
        (lambda: guest("Starting", **BOUND), ["--for=host"], ExitCode.DONE, ""),
        (
            lambda: guest("Starting", **BOUND),
            ["--timeout=100ms"],
            ExitCode.TIMED_OUT,
            "has not reached ready",
        ),
        (lambda: stalled("ImageNotFound"), [], ExitCode.STALLED, "web: ImageNotFound: m"),
        (lambda: None, [], ExitCode.FAILED, "not found"),
    ],
)
def test_each_end_has_its_exit_code(
    kubectl: FakeKubectl, lie: Callable[[], Document | None], words: list[str], code: ExitCode, told: str
) -> None:
    kubectl.lay(PATH, lie())
    done = kubectl.run("wait", "web", *words)
    assert done.returncode == code, done.stderr
    assert told in done.stderr


@pytest.mark.parametrize("then", [None, guest(uid="u2")])
def test_a_guest_that_is_deleted_meanwhile_ends_the_wait(kubectl: FakeKubectl, then: Document | None) -> None:
    kubectl.lay(PATH, guest())
    process = subprocess.Popen(
        kubectl.command("wait", "web"), env=kubectl.environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "web: Pending" in process.stderr.readline()
    kubectl.lay(PATH, then)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.DELETED
    assert "deleted" in errors


@pytest.mark.parametrize("output", ["json", "yaml", "name"])
@pytest.mark.parametrize(
    ("then", "code"),
    [
        (guest(), ExitCode.TIMED_OUT),
        (stalled("ImageNotFound"), ExitCode.STALLED),
        (None, ExitCode.DELETED),
    ],
)
def test_a_script_learns_which_guest_it_made_also_where_waiting_fails(
    kubectl: FakeKubectl, then: Document | None, code: ExitCode, output: str
) -> None:
    kubectl.lay_created(guest())
    kubectl.lay(PATH, then)
    done = kubectl.run(*CREATE, "--wait=ready", "--timeout=100ms", "-o", output)
    assert done.returncode == code, done.stderr
    if output == "name":
        assert done.stdout == "guest.innkeeper.dev/web\n"
    else:
        assert yaml.safe_load(done.stdout)["metadata"]["uid"] == "u1"


def test_a_script_that_is_interrupted_learns_it_too(kubectl: FakeKubectl) -> None:
    kubectl.lay_created(guest())
    kubectl.lay(PATH, guest())
    process = subprocess.Popen(
        kubectl.command(*CREATE, "--wait=ready", "-o", "json"),
        env=kubectl.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "web: Pending" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert json.loads(out)["metadata"]["uid"] == "u1"


def test_what_is_asked_for_after_the_verb_reaches_kubectl(kubectl: FakeKubectl) -> None:
    kubectl.lay(PATH.replace("default", "shop"), READY)
    words = ["get", "web", "--context=mine", "--kubeconfig", "/k", "--as=alice", "-o", "name"]
    done = kubectl.run("-n", "shop", "--context=yours", *words)
    assert (done.returncode, done.stdout) == (0, "guest.innkeeper.dev/web\n"), done.stderr
    [call] = kubectl.calls()
    assert call[:4] == ["--context=yours", "--kubeconfig=/k", "--context=mine", "--as=alice"]


def test_a_urn_is_looked_up_in_whichever_namespace_it_is(kubectl: FakeKubectl) -> None:
    found = {"metadata": {"name": "web", "namespace": "shop"}}
    kubectl.lay("/apis/query.innkeeper.dev/v1alpha1/guestids/u1", found)
    kubectl.lay(PATH.replace("default", "shop"), READY)
    done = kubectl.run("get", "urn:innkeeper:guest:u1")
    assert done.stdout.splitlines()[1].split()[:5] == ["web", "True", "Running", "a", "10.0.0.5"], done.stderr
    done = kubectl.run("get", "urn:innkeeper:guest:u2")
    assert (done.returncode, done.stderr) == (ExitCode.FAILED, "error: u2 not found\n")


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(kubectl: FakeKubectl) -> None:
    # An API may say anything: no markup and no control sequence of it reaches the terminal.
    kubectl.lay(PATH, guest("Starting", **{**BOUND, "host": "a[red]\x1b[31m"}))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        kubectl.command("wait", "web"), env=kubectl.environment(), stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = read_until(ours, b"Starting")
    kubectl.lay(PATH, READY)
    shown += read_until(ours, None)
    os.close(ours)
    assert process.wait(60) == ExitCode.DONE
    text = shown.decode(errors="replace")
    assert r"a[red]\x1b[31m 10.0.0.5" in text
    assert "\u2501" in text, "a bar"
    assert text.rstrip().endswith(("\x1b[2K", "\x1b[?25h")), repr(text[-80:])
