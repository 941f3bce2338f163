"""kubectl as a process: a person who has to log in is asked, one who is not there is not waited for."""

import os
import signal
import sys
from pathlib import Path

import pytest

from innkeeper.cli.guest import asking
from innkeeper.cli.guest.asking import AskingError, Kubectl
from innkeeper.cli.guest.exit_codes import ExitCode
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
print('{{"metadata": {{"name": "web", "uid": "u1"}}, "spec": {{"image": {{"name": "d"}}}}}}')
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
    kubectl.program("kubectl", "#!/bin/sh\necho 'Warning: use v2' >&2\necho '{}'\n")
    caller = Kubectl()
    caller.get("/a")
    caller.with_options(["--as=alice"]).get("/b")
    assert capsys.readouterr().err == "Warning: use v2\n"


@pytest.mark.parametrize(
    ("is_person", "asks", "deadline_s"),
    [(True, True, asking.LOGIN_S), (False, True, asking.DEADLINE_S), (True, False, asking.DEADLINE_S)],
)
@pytest.mark.usefixtures("kubectl")
def test_only_a_person_at_a_terminal_has_time_to_log_in(
    monkeypatch: pytest.MonkeyPatch, *, is_person: bool, asks: bool, deadline_s: float
) -> None:
    given: list[float] = []

    def call(*_: object, deadline_s: float, **__: object) -> tuple[int, str]:
        given.append(deadline_s)
        return 0, "{}"

    monkeypatch.setattr(asking, "call", call)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_person, raising=False)
    Kubectl(asks=asks).get("/a")
    assert given == [deadline_s]


def test_a_kubectl_that_hangs_is_ended(kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl.program("kubectl", f"#!/bin/sh\necho $$ > {kubectl.home}/pid\nexec sleep 600\n")
    monkeypatch.setattr(asking, "DEADLINE_S", 1.0)
    with pytest.raises(AskingError, match="no answer within 1 s"):
        Kubectl().get("/a")
    with pytest.raises(ProcessLookupError):
        os.kill(int((kubectl.home / "pid").read_text()), 0)


def test_what_a_plug_in_leaves_running_is_not_waited_for(kubectl: FakeKubectl) -> None:
    kubectl.program("kubectl", f"#!/bin/sh\nsleep 600 &\necho $! > {kubectl.home}/pid\necho '{{}}'\n")
    try:
        assert Kubectl().get("/a") == {}
    finally:
        os.kill(int((kubectl.home / "pid").read_text()), signal.SIGKILL)
