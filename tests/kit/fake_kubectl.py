"""A kubectl on PATH that answers from files, and the plug-in run beside it as a process of its own.

`GET` paths and their answers lie in a directory, which a test may change while the plug-in runs. Every call is written
down.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

_PROGRAM = """#!{python}
import json, pathlib, sys, urllib.parse
home, words = pathlib.Path({home!r}), sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
if "--flatten" in words:
    print((home / "cluster").read_text())
    sys.exit()
if "config" in words:
    print("default", end="")
    sys.exit()
whole = words[words.index("--raw") + 1]
path = whole.partition("?")[0]
answer = home / ("created" if "create" in words else urllib.parse.quote(whole, safe=""))
if not answer.exists():
    answer = home / urllib.parse.quote(path, safe="")
if not answer.exists():
    sys.exit("Error from server (NotFound): " + path.rpartition("/")[2] + " not found")
print(answer.read_text())
"""
# Where tests run in the background, as under nohup, SIGINT is ignored, and a program takes that over.
_PLUGIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from innkeeper.cli.guest.{module} import main
main()
"""


@dataclass(frozen=True)
class FakeKubectl:
    """The programs of one test."""

    home: Path

    def install(self) -> None:
        """Put kubectl there."""
        (self.home / "bin").mkdir(parents=True)
        self.program("kubectl", _PROGRAM.format(python=sys.executable, home=str(self.home)))

    def program(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        file = self.home / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def lay(self, path: str, answer: Mapping[str, Any] | None) -> None:
        """Answer a path, with its query or with any, with a document from now on; None: with that there is none.

        It says a kind, as every object of the API does, also where that is left out here.
        """
        file = self.home / quote(path, safe="")
        if answer is None:
            file.unlink(missing_ok=True)
            return
        new = self.home / "new"
        new.write_text(json.dumps({"kind": "Any", **answer}))
        new.replace(file)

    def lay_created(self, answer: Mapping[str, Any]) -> None:
        """Answer what is created with a document."""
        self.lay("created", answer)

    def lay_cluster(self, answer: Mapping[str, Any]) -> None:
        """Say so of the context's cluster."""
        self.lay("cluster", answer)

    def calls(self) -> list[list[str]]:
        """Return the words of every call."""
        file = self.home / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def command(self, *words: str, module: str = "commands") -> list[str]:
        """Return how the plug-in is started."""
        return [sys.executable, "-c", _PLUGIN.format(module=module), *words]

    def environment(self) -> dict[str, str]:
        """Return the environment in which it is started."""
        return {**os.environ, "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}", "TERM": "xterm"}

    def run(self, *words: str, module: str = "commands") -> subprocess.CompletedProcess[str]:
        """Run the plug-in to its end, in a pipe."""
        return subprocess.run(
            self.command(*words, module=module),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            stdin=subprocess.DEVNULL,
        )
