"""The dashboards: every panel asks for metrics that there are, in words that Prometheus reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.promql import check_expressions, wrong_names

DASHBOARDS = sorted(
    (Path(__file__).parents[2] / "charts" / "innkeeper" / "files" / "dashboards").glob("*.json")
)

each_dashboard = pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_there_is_one_of_all_and_one_of_a_host() -> None:
    assert [each.stem for each in DASHBOARDS] == ["innkeeper-host", "innkeeper-overview"]
    assert len({read(each)["uid"] for each in DASHBOARDS}) == len(DASHBOARDS)


@each_dashboard
def test_every_panel_asks_for_what_some_process_tells(file: Path) -> None:
    wrong = {expr: list(wrong_names(expr)) for expr in expressions(read(file))}
    assert not [names for names in wrong.values() if names]


@each_dashboard
def test_prometheus_reads_every_panel(file: Path, tmp_path: Path) -> None:
    # What Grafana puts in stands here as it would be.
    asked = [each.replace("$__rate_interval", "2m") for each in expressions(read(file))]
    check_expressions(asked, tmp_path)


@each_dashboard
def test_panels_have_an_own_place_and_the_chosen_source(file: Path) -> None:
    dashboard = read(file)
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
