"""kubectl as a process: a person who has to log in is asked, one who is not there is not waited for."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from innkeeper.cli.guest import asking, calling
from innkeeper.cli.guest.asking import AskingError, Kubectl
from innkeeper.cli.guest.calling import Patience, call
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.cli.guest.hearing import Hearing
from tests.kit.fake_kubectl import FakeKubectl
from tests.kit.terminal import Terminal

# As a log-in plug-in of a kubeconfig: it asks on standard error, and reads the answer from the terminal.
ASKS = """#!{python}
import pathlib, sys
sys.stderr.write("\\x1b[1mPassword: ")
sys.stderr.flush()
if sys.stdin.readline() != "open sesame\\n":
    sys.exit("error: You must be logged in to the server (Unauthorized)")
print("Warning: use v2", file=sys.stderr)
words = sys.argv[1:]
if "-f" in words:
    pathlib.Path({home!r}, "sent").write_text(pathlib.Path(words[words.index("-f") + 1]).read_text())
print('{{"kind": "Guest", "metadata": {{"name": "web", "uid": "u1"}}, "spec": {{"image": {{"name": "d"}}}}}}')
"""
CREATE = ["create", "web", "-n", "shop", "--image=d", "--flavor=s", "--pool=p"]


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    made = FakeKubectl(tmp_path)
    made.install()
    made.program("kubectl", ASKS.format(python=sys.executable, home=str(tmp_path)))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return made


@pytest.mark.parametrize("words", [["get", "web", "-n", "shop"], CREATE], ids=["get", "create"])
def test_a_person_who_has_to_log_in_is_asked_and_answers(kubectl: FakeKubectl, words: list[str]) -> None:
    with Terminal(kubectl.command(*words), kubectl.environment()) as terminal:
        assert "\x1b" not in terminal.shows("Password: ")
        terminal.types("open sesame")
        code, shown = terminal.ends()
    assert code == ExitCode.DONE, shown
    assert "Warning: use v2" in shown
    assert "web" in shown
    if words is CREATE:
        assert '"flavor": "s"' in (kubectl.home / "sent").read_text()


def test_a_wrong_answer_is_told_once(kubectl: FakeKubectl) -> None:
    with Terminal(kubectl.command("get", "web", "-n", "shop"), kubectl.environment()) as terminal:
        terminal.shows("Password: ")
        terminal.types("mellon")
        code, shown = terminal.ends()
    assert code == ExitCode.FAILED
    assert shown.count("You must be logged in to the server") == 1, shown


def test_a_wait_shows_no_bar_before_the_log_in(kubectl: FakeKubectl) -> None:
    with Terminal(kubectl.command("wait", "web", "-n", "shop"), kubectl.environment()) as terminal:
        before = terminal.shows("Password: ")
        terminal.types("open sesame")
        terminal.shows("\u2501")  # a bar
    assert "\u2501" not in before


def test_completion_asks_nobody(kubectl: FakeKubectl) -> None:
    command = kubectl.command("get", "w", module="completion")
    with Terminal(command, kubectl.environment()) as terminal:
        code, shown = terminal.ends()
    assert (code, shown.split()) == (ExitCode.DONE, [":4"])


def test_a_warning_is_told_once_however_often_it_comes(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.program("kubectl", "#!/bin/sh\necho 'Warning: use v2' >&2\necho '{\"kind\": \"Any\"}'\n")
    caller = Kubectl()
    caller.get("/a")
    caller.with_options(["--as=alice"]).get("/b")
    assert capsys.readouterr().err == "Warning: use v2\n"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("typed", "seen", "asks", "has_time"),
    [
        (True, True, True, True),
        (False, True, True, False),
        (True, False, True, False),
        (True, True, False, False),
    ],
)
def test_only_a_person_at_a_terminal_who_was_asked_has_time_to_log_in(
    kubectl: FakeKubectl,
    monkeypatch: pytest.MonkeyPatch,
    *,
    typed: bool,
    seen: bool,
    asks: bool,
    has_time: bool,
) -> None:
    answered = kubectl.home / "answered"
    os.mkfifo(answered)
    kubectl.program(
        "kubectl", f"#!/bin/sh\necho 'Enter code 7' >&2\nread _ < {answered}\necho '{{\"kind\": \"Any\"}}'\n"
    )
    clock = Clock()

    class Heard(Hearing):
        def hear(self, text: str) -> None:
            super().hear(text)
            clock.now = (asking.DEADLINE_S + asking.LOGIN_S) / 2
            if has_time:
                answered.write_text("\n")

    monkeypatch.setattr(calling, "time", clock)
    monkeypatch.setattr(asking, "Hearing", Heard)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: typed, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: seen, raising=False)
    if has_time:
        assert Kubectl(asks=asks).get("/a") == {"kind": "Any"}
    else:
        with pytest.raises(AskingError, match="no answer within 60 s"):
            Kubectl(asks=asks).get("/a")


def test_who_was_asked_nothing_is_not_waited_for_at_a_terminal(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl.program("kubectl", "#!/bin/sh\nexec sleep 600\n")
    clock = Clock()

    class Heard(Hearing):
        def pause(self) -> None:
            super().pause()
            clock.now += asking.DEADLINE_S

    monkeypatch.setattr(calling, "time", clock)
    monkeypatch.setattr(asking, "Hearing", Heard)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    with pytest.raises(AskingError, match="no answer within 60 s"):
        Kubectl().get("/a")


def test_an_answer_right_before_the_end_is_not_lost(kubectl: FakeKubectl) -> None:
    pid, go = kubectl.home / "pid", kubectl.home / "go"
    os.mkfifo(pid)
    os.mkfifo(go)

    class Late(Hearing):
        """The processor was another's, from a pause until kubectl has ended."""

        is_over = False

        def pause(self) -> None:
            super().pause()
            if not self.is_over:
                self.is_over = True
                number = int(pid.read_text())
                go.write_text("\n")
                os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)

    script = f"echo $$ > {pid}; read _ < {go}; echo answer"
    hearing = Late(person=None, warn=[].append)
    patience = Patience(silent_s=60, asking_s=60)
    assert call(["/bin/sh", "-c", script], hearing, body=None, patience=patience, asks=False) == (
        0,
        "answer\n",
    )


ECHOES = '#!/bin/sh\nfor last; do :; done\n[ "$last" = - ] && exec cat\nexec cat "$last"\n'


def test_what_is_sent_needs_no_place_for_temporary_files(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl.program("kubectl", ECHOES)
    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    sent = {"kind": "Any", "b": "c" * 100_000}
    assert Kubectl().create("/a", sent) == sent


def test_a_system_without_files_in_memory_uses_a_temporary_one(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl.program("kubectl", ECHOES)
    monkeypatch.delattr(os, "memfd_create")
    assert Kubectl().create("/a", {"kind": "Any"}) == {"kind": "Any"}
    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    with pytest.raises(AskingError, match="No usable temporary directory"):
        Kubectl().create("/a", {})


def no_room() -> None:
    """Say what a read-only root does."""
    raise FileNotFoundError(2, "No usable temporary directory found")


@pytest.mark.parametrize(("is_terminal", "word"), [(True, "/dev/fd/"), (False, "-")])
def test_only_at_a_terminal_what_is_sent_goes_beside_the_standard_input(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, word: str
) -> None:
    kubectl.program("kubectl", '#!/bin/sh\nfor last; do :; done\necho "{\\"kind\\": \\"$last\\"}"\n')
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_terminal, raising=False)
    assert Kubectl().create("/a", {})["kind"].startswith(word)


def test_a_kubectl_that_hangs_is_ended(kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl.program("kubectl", f"#!/bin/sh\necho $$ > {kubectl.home}/pid\nexec sleep 600\n")
    monkeypatch.setattr(asking, "DEADLINE_S", 1.0)
    with pytest.raises(AskingError, match="no answer within 1 s"):
        Kubectl().get("/a")
    with pytest.raises(ProcessLookupError):
        os.kill(int((kubectl.home / "pid").read_text()), 0)


def test_what_a_plug_in_leaves_running_is_not_waited_for(kubectl: FakeKubectl) -> None:
    kubectl.program(
        "kubectl", f'#!/bin/sh\nsleep 600 &\necho $! > {kubectl.home}/pid\necho \'{{"kind": "Any"}}\'\n'
    )
    try:
        assert Kubectl().get("/a") == {"kind": "Any"}
    finally:
        os.kill(int((kubectl.home / "pid").read_text()), signal.SIGKILL)
