"""Expressions of PromQL in tests: which metrics, labels and values they name, and whether Prometheus reads them.

It knows just enough of the language for our own rules and dashboards; `promtool` says whether they are well formed.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from innkeeper.telemetry import families
from innkeeper.telemetry.definition import Family

SERIES: dict[str, Family] = {series: each for each in families.ALL for series in each.series}
TARGET_LABELS = {"instance", "job"}  # that Prometheus itself adds
_SELECTOR = re.compile(r"\b(innkeeper_[a-z_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")
_TIMEOUT_S = 60


def wrong_names(expr: str) -> Iterator[str]:
    """Yield what an expression names and no process tells: a metric, a label of it, or a value of that label."""
    told: set[str] = {*TARGET_LABELS, "le"}
    for name, matchers in _SELECTOR.findall(expr):
        family = SERIES.get(name)
        if family is None:
            yield f"no metric {name}"
            continue
        told |= set(family.label_names)
        for label, operation, text in _MATCHER.findall(matchers):
            yield from _wrong_values(family, label, text.split("|") if "~" in operation else [text])
    for names in _BY.findall(expr):
        yield from (f"no label {each}" for each in names.replace(" ", "").split(",") if each not in told)


def _wrong_values(family: Family, label: str, values: list[str]) -> Iterator[str]:
    if label in TARGET_LABELS:
        return
    found = next((each for each in family.labels if each.name == label), None)
    if found is None:
        yield f"{family.name} has no label {label}"
    elif found.values:
        yield from (f"{family.name}: no {label}={each}" for each in values if each not in found.values)


def program(name: str) -> str:
    """Return where promtool or prometheus lies; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus); hack/system-packages installs it")
    return found


def promtool(*words: str | Path) -> None:
    """Run promtool; an assertion says what it did not like."""
    done = subprocess.run(
        [program("promtool"), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def check_expressions(expressions: list[str], directory: Path) -> None:
    """Have Prometheus parse expressions, as rules of a file that is made for this."""
    rules = [{"record": f"checked:number:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    file = directory / "checked.rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]}))
    promtool("check", "rules", file)
