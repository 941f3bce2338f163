"""Completion in the real shells: set up as the page tells, then a word, a tab and Enter, as a person types."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from kit import paths

from tests.kit.fake_kubectl import FakeKubectl
from tests.kit.lab import until
from tests.kit.terminal import Terminal

PAGE = paths.CHECKOUT / "docs" / "how-to" / "use-kubectl-guest.md"
VIEWS = "/apis/query.innkeeper.dev/v1alpha1/namespaces/shop/guestviews"
# A shell leads jobs at the terminal that is its own.
OWNS = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
# Each without what the machine's owner has set up.
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "--no-rcs", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}


def told_by_the_page(shell: str) -> list[str]:
    """Return the lines that the page tells to type."""
    [cell] = re.findall(rf"^\| {shell} \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    return [each.replace("\\|", "|") for each in re.findall(r"`([^`]+)`", cell)]


@pytest.fixture
def kubectl(tmp_path: Path) -> FakeKubectl:
    """One guest, till, that nobody asked for yet; and the plug-in on PATH."""
    made = FakeKubectl(tmp_path)
    made.install()
    made.lay(VIEWS, {"items": [{"metadata": {"name": "till"}}], "metadata": {}})
    words = " ".join(f"'{each}'" for each in made.command())
    made.program("kubectl-guest", f'#!/bin/sh\nexec {words} "$@"\n')
    return made


@pytest.mark.parametrize("shell", START)
def test_a_shell_completes_the_name_of_a_guest(kubectl: FakeKubectl, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; hack/system-packages installs it")
    home = kubectl.home / "home"
    home.mkdir()
    environment = {**kubectl.environment(), "HOME": str(home), "XDG_CONFIG_HOME": str(home), "TERM": "dumb"}
    asked = f"{VIEWS.replace('query.', '').replace('guestviews', 'guests')}/till"
    with Terminal([sys.executable, "-c", OWNS, *START[shell]], environment) as terminal:
        for line in told_by_the_page(shell):
            terminal.types(line)
        terminal.types("echo is set up | tr a-z A-Z")
        terminal.shows("IS SET UP")
        terminal.types("kubectl-guest -n shop get ti\t")
        until(lambda: asked in json.dumps(kubectl.calls()), what="the completed command to run")
