"""A real Prometheus on loopback: scrapes what a test names, and evaluates our own rules every second.

Only the durations of the rules are shortened, so that nobody waits two minutes for an alert; all else is as it is.
"""

import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from kit import ports
from tests.kit.promql import program
from tests.kit.waiting import eventually

CHECKOUT = Path(__file__).parents[2]
RULES = CHECKOUT / "charts" / "innkeeper" / "files" / "alerts" / "innkeeper.rules.yaml"
HURRY = 60  # a minute of a rule's `for` is a second here
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATIONS = ("for", "keep_firing_for")
_DURATION = re.compile(r"(\d+)([smhd])")
_UP_S = 90.0
_DOWN_S = 30.0


def hurried(rules: Path) -> str:
    """Return a file of rules in which each duration is shorter, and nothing else differs."""
    document = yaml.safe_load(rules.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            for name in rule.keys() & set(_DURATIONS):
                found = _DURATION.fullmatch(rule[name])
                assert found, f"{rule['alert']}: no plain duration: {rule[name]}"
                rule[name] = f"{int(found[1]) * _SECONDS[found[2]] * 1000 // HURRY}ms"
    return str(yaml.safe_dump(document, sort_keys=False))


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    http: aiohttp.ClientSession

    async def firing(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that fire now, by name."""
        alerts = (await self._ask("/api/v1/alerts"))["alerts"]
        return {each["labels"]["alertname"]: each for each in alerts if each["state"] == "firing"}

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression is now."""
        found: list[dict[str, Any]] = (await self._ask("/api/v1/query", {"query": expr}))["result"]
        return found

    async def series(self, *, of: str = "") -> set[str]:
        """Return the names of all series of ours, or of those that one process tells."""
        matching = {"match[]": f'{{instance="{of}"}}'} if of else None
        names = await self._ask("/api/v1/label/__name__/values", matching)
        return {each for each in names if each.startswith("innkeeper_")}

    async def _ask(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        async with self.http.get(path, params=query) as answer:
            document = await answer.json()
            assert document["status"] == "success", document
            return document["data"]


@asynccontextmanager
async def prometheus(targets: Mapping[str, int], directory: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus; `targets` are the ports of processes by the name that becomes their `instance`."""
    (port,) = ports.choose(1, address="127.0.0.1")
    (directory / "innkeeper.rules.yaml").write_text(hurried(RULES))
    config = directory / "prometheus.yaml"
    config.write_text(yaml.safe_dump(_config(targets)))
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, directory / "prometheus.log", ends_by=signal.SIGTERM):
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            await eventually(lambda: _is_ready(http), deadline_s=_UP_S)
            yield Prometheus(http)


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, *, ends_by: signal.Signals = signal.SIGKILL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with its output in a file; it ends with the context."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.send_signal(ends_by)
        try:
            process.wait(_DOWN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _config(targets: Mapping[str, int]) -> dict[str, Any]:
    static = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}} for name, port in targets.items()
    ]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["innkeeper.rules.yaml"],
        "scrape_configs": [{"job_name": "innkeeper", "static_configs": static}],
    }


async def _is_ready(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
