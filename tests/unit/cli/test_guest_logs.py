"""`kubectl guest logs`: what a guest wrote, without what would play with the terminal of who reads it."""

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from innkeeper.cli.guest.asking import AskingError
from innkeeper.cli.guest.commands import app

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
