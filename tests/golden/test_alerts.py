"""The alerts: well formed, each with its page and its test, and about metrics that there are."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.promql import promtool, wrong_names

CHECKOUT = Path(__file__).parents[2]
RULES = CHECKOUT / "charts" / "innkeeper" / "files" / "alerts" / "innkeeper.rules.yaml"
RUNBOOKS = CHECKOUT / "docs" / "runbooks"
TESTS = Path(__file__).parent / "alerts"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
LABEL = re.compile(r"\$labels\.(\w+)")
BY = re.compile(r"\bby \(([^)]*)\)")

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def test_prometheus_reads_the_rules() -> None:
    promtool("check", "rules", RULES)


def test_pages_and_tests_are_those_of_alerts() -> None:
    names = [each["alert"] for each in ALERTS]
    assert len(names) == len(set(names)) > 10
    assert {each.stem for each in RUNBOOKS.glob("*.md")} == set(names)
    assert {each.stem for each in TESTS.glob("*.yaml")} == set(names)


@each_alert
def test_an_alert_names_only_what_some_process_tells(alert: dict[str, Any]) -> None:
    assert list(wrong_names(alert["expr"])) == []


@each_alert
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    said = alert["annotations"]
    assert set(said) == {"summary", "description", "runbook_url"}
    assert said["runbook_url"] == f"https://innkeeper.dev/runbooks/{alert['alert']}.html"
    kept = {each for names in BY.findall(alert["expr"]) for each in names.replace(" ", "").split(",")}
    assert set(LABEL.findall(f"{said['summary']} {said['description']}")) <= kept


@each_alert
def test_a_page_tells_what_it_means_where_to_look_and_what_to_mend(alert: dict[str, Any]) -> None:
    page = (RUNBOOKS / f"{alert['alert']}.md").read_text()
    assert page.startswith(f"# {alert['alert']}\n\n**Symptom.** ")
    for part in ("\n**For guests.** ", "\n## Look\n", "\n## Mend\n"):
        assert page.count(part) == 1, part


def beside_its_rules(told: dict[str, Any], directory: Path) -> Path:
    """Write tests beside the rules that they name alone: promtool evaluates every rule of a file for each minute."""
    assert told["rule_files"] == [os.path.relpath(RULES, TESTS)]
    named = re.findall(r"\bInnkeeper\w+", json.dumps(told))
    rules, file = directory / "rules.yaml", directory / "tests.yaml"
    group = {"name": "named", "rules": [each for each in ALERTS if each["alert"] in named]}
    rules.write_text(yaml.safe_dump({"groups": [group]}))
    file.write_text(yaml.safe_dump({**told, "rule_files": [rules.name]}))
    return file


@each_alert
def test_an_alert_fires_when_it_should_and_only_then(alert: dict[str, Any], tmp_path: Path) -> None:
    told = yaml.safe_load((TESTS / f"{alert['alert']}.yaml").read_text())
    cases = told["tests"]
    expected = [bool(part["exp_samples"]) for case in cases for part in case["promql_expr_test"]]
    assert True in expected, "no case in which it fires"
    assert False in expected, "no case in which it is quiet"
    promtool("test", "rules", beside_its_rules(told, tmp_path))
