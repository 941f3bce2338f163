"""A new rule is a file and a line: what the guide shows is all that decision, message and explanation need."""

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling import explain as explaining
from innkeeper.domain.scheduling.rules.registry import FILTERS, SCORES
from tests.unit.domain.scheduling.test_rules import ASK, HOST, a_fleet

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "add-a-scheduling-rule.md"


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the guide says: the file is the one that it shows, the line puts its rule into FILTERS."""
    (source,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    module = ModuleType("retired")
    exec(compile(source, str(GUIDE), "exec"), module.__dict__)  # noqa: S102 - the guide's own example
    for reader in (cycle, explaining):
        monkeypatch.setattr(reader, "FILTERS", (*FILTERS, module.RULE))


@pytest.mark.usefixtures("_registered")
def test_the_rule_of_the_guide_decides_and_is_explained() -> None:
    retired = replace(HOST, name="old", labels={"example.com/retired": "yes"})
    placed = cycle.decide(ASK, a_fleet(HOST, retired), seed=0)
    assert placed == cycle.Placement("h", "lab")
    alone = a_fleet(retired)
    assert cycle.no_host_fits(ASK, alone).message == "0 of 1 hosts fit: 1 is retired"
    (verdict,) = explaining.verdicts(ASK, alone, alone.row_of)
    assert [(each.rule, each.reason) for each in verdict.failures] == [("retired", "Retired")]
    assert explaining.rule_infos()[len(FILTERS)].name == "retired"


def test_names_and_reasons_are_each_rule_s_own() -> None:
    names = [each.name for each in (*FILTERS, *SCORES)]
    reasons = [each.reason for each in FILTERS]
    assert len(set(names)) == len(names)
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", reason) for reason in reasons)
