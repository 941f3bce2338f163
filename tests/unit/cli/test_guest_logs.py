"""`kubectl guest logs`: what a guest wrote, without what would play with the terminal of who reads it."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from innkeeper.cli.guest.asking import AskingError, Refusal
from innkeeper.cli.guest.commands import app
from innkeeper.cli.guest.exit_codes import ExitCode
from tests.kit.fake_kubectl import FakeKubectl
from tests.kit.lab import until

PATH = "/apis/query.innkeeper.dev/v1alpha1/namespaces/default/guestviews/web/console"
BOOT = "\x1b[2J\x1b[01;31mGRUB\x1b[0m\r\n\x1b]0;owned\x07Linux\x07 \u00e9\r\n\x9b31m\tweb login: "


class Console:
    """A query API that knows one console."""

    def __init__(self, text: str = BOOT) -> None:
        self.text = text
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if "/web/" not in path:
            raise AskingError('guests.innkeeper.dev "db" not found')
        return {"kind": "Console", "text": self.text}

    def namespace(self) -> str:
        return "default"


def run(console: Console, *words: str) -> Result:
    return CliRunner().invoke(app, ["logs", *words], obj=console)


def test_text_is_shown_and_control_sequences_are_not() -> None:
    done = run(Console(), "web")
    assert done.output == "GRUB\nLinux \u00e9\n\tweb login: \n"


def test_raw_shows_every_byte() -> None:
    assert run(Console(), "web", "--raw").stdout_bytes == f"{BOOT}\n".encode()


@pytest.mark.parametrize(
    ("tail", "shown"), [("1", "c\n"), ("2", "b\nc\n"), ("9", "a\nb\nc\n"), ("0", ""), ("-1", "a\nb\nc\n")]
)
def test_the_last_lines_alone(tail: str, shown: str) -> None:
    assert run(Console("a\nb\nc\n"), "web", "--tail", tail).output == shown


def test_nothing_written_prints_nothing() -> None:
    assert run(Console(""), "web").output == ""


def test_a_limit_is_the_hosts_to_keep() -> None:
    console = Console()
    run(console, "web", "--limit-bytes", "500")
    run(console, "web", "-n", "team/../x")
    assert console.asked == [f"{PATH}?limitBytes=500", PATH.replace("/default/", "/team%2F..%2Fx/")]


def test_an_error_is_the_persons_to_read() -> None:
    done = run(Console(), "db")
    assert isinstance(done.exception, AskingError)


class Guest:
    """A query API whose guest writes a part between two questions, and is deleted at the end."""

    def __init__(self, *parts: str | AskingError, left_out: int = -1, knows_places: bool = True) -> None:
        self.parts = parts
        self.left_out = left_out
        self.knows_places = knows_places
        self.at = 0
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path.removeprefix(PATH))
        if self.at == len(self.parts):
            raise AskingError('guests.innkeeper.dev "web" not found', refusal=Refusal.NOT_FOUND)
        part, self.at = self.parts[self.at], self.at + 1
        if isinstance(part, AskingError):
            raise part
        found: dict[str, Any] = {"kind": "Console", "text": part}
        if self.knows_places:
            found |= {"end": f"1-{self.at}-0", "leftOut": self.at - 1 == self.left_out}
        return found

    def namespace(self) -> str:
        return "default"

    def rest(self, seconds: float) -> None:
        assert seconds > 0


def follow(guest: Guest, *words: str) -> Result:
    done = CliRunner().invoke(app, ["logs", "web", "-f", *words], obj=guest)
    assert isinstance(done.exception, AskingError), done.output
    return done


def test_who_follows_sees_each_part_as_it_comes_from_where_the_last_one_ended() -> None:
    guest = Guest("tick\n", "tick\n", "", "web lo", "gin: ")
    done = follow(guest)
    assert done.stdout == "tick\ntick\nweb login: "
    assert guest.asked == [f"?after={each}" for each in ("", *(f"1-{at}-0" for at in range(1, 6)))]
    assert isinstance(done.exception, AskingError)
    assert done.exception.code is ExitCode.DELETED


def test_who_follows_may_begin_with_the_last_lines() -> None:
    assert follow(Guest("a\nb\nc\n", "d\ne\n"), "--tail", "1").stdout == "c\nd\ne\n"
    assert follow(Guest("a\nb\nlogin: ", "me\n"), "--tail", "1").stdout == "login: me\n"
    assert follow(Guest("a\n", "b\n"), "--tail", "0").stdout == "b\n"


@pytest.mark.parametrize("cut", range(1, len(BOOT)))
def test_control_sequences_that_come_in_two_parts_are_left_out_too(cut: int) -> None:
    assert follow(Guest(BOOT[:cut], BOOT[cut:])).stdout == "GRUB\nLinux \u00e9\n\tweb login: "


def test_a_sequence_without_an_end_holds_nothing_back_for_ever() -> None:
    assert "shown" in follow(Guest(f"\x1b]{'x' * 5000}", "shown")).stdout


def test_raw_follows_every_byte() -> None:
    assert follow(Guest(BOOT[:9], BOOT[9:]), "--raw").stdout_bytes == BOOT.encode()


def test_what_is_left_out_is_told() -> None:
    done = follow(Guest("a\n", "z\n", left_out=1))
    assert (done.stdout, done.stderr.count("left out")) == ("a\nz\n", 1)


def test_who_follows_waits_for_a_host_that_is_away_and_is_told_once() -> None:
    away = AskingError("host a does not answer")
    guest = Guest("a\n", away, away, "b\n", away)
    done = follow(guest)
    assert (done.stdout, done.stderr.count("host a does not answer")) == ("a\nb\n", 2)
    assert guest.asked[1:4] == ["?after=1-1-0"] * 3


@pytest.mark.parametrize(
    ("guest", "told"),
    [
        (Guest(AskingError("host a does not answer")), "host a does not answer"),
        (Guest("a\n", AskingError("may not", refusal=Refusal.FORBIDDEN)), "may not"),
        (Guest("a\n", knows_places=False), "is older and cannot be followed"),
    ],
)
def test_what_no_asking_again_mends_ends_it(guest: Guest, told: str) -> None:
    done = follow(guest)
    assert told in str(done.exception)
    assert guest.at == len(guest.parts)


def test_a_limit_of_bytes_and_following_are_two_things() -> None:
    done = CliRunner().invoke(app, ["logs", "web", "-f", "--limit-bytes=5"], obj=Guest("a"))
    assert done.exit_code == ExitCode.USAGE


def test_ctrl_c_ends_it_with_130(tmp_path: Path) -> None:
    kubectl = FakeKubectl(tmp_path)
    kubectl.install()
    kubectl.lay(PATH, {"text": "a\n", "end": "1-2-3"})
    kubectl.lay(f"{PATH}?after=1-2-3", {"text": "", "end": "1-2-3"})
    process = subprocess.Popen(
        kubectl.command("logs", "web", "--follow"),
        env=kubectl.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "a\n"
    until(lambda: len(kubectl.calls()) > 3, what="more questions")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest.replace("\n", "")) == (130, "")
