"""The dashboard and the alert rules are valid, and ask only for what /metrics really exports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backend.agreement.compare import Comparison
from backend.jobs.comparing import Comparing
from backend.ledger import Key, Ledger, Project
from backend.server import create_app
from backend.settings import Settings
from tests.unit.requests import CONFIG, FakeQueue, live_worker, payload, task
from tests.unit.server.test_page import answered

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITORING = Path(__file__).parents[3] / "monitoring"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
ASKED = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (panel["title"], target["expr"].replace("$project", ".*")) for panel in PANELS for target in panel["targets"]
]
DURATION = re.compile(r"\d+[smhd]")
GENERAL = {"le", "job", "instance"}
OF_WORKERS = {"stage", "kind"}  # exported half a minute after the first judgement


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of all series that a web process with some work behind it exports, with their labels."""
    folder = tmp_path_factory.mktemp("metrics")
    ledger, queue = Ledger.open(f"sqlite:///{folder}/ledger.db"), FakeQueue()
    queue.live = [live_worker(name="gpu-0")]
    app = create_app(Settings(model="tiny", model_revision="r1", _env_file=None), ledger=ledger, queue=queue)
    client = app.test_client()
    client.post("/predict", json={**payload("predict"), "tasks": [task(1), task(2, prompt="")]})
    client.post("/webhook", json=payload("webhook_tasks_created"))
    client.get("/metrics")
    ledger.remember_project(Project(7, "Pairs", CONFIG))
    answered(ledger, 7, 1, "Tie")
    ledger.mark_all_published({Key(7, 1, "tiny-1"): 42})
    Comparing(ledger).run()
    app.extensions["background"].close()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for suffix in {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}.get(family.type, ("",)):
            found.setdefault(family.name + suffix, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    ledger.close()
    return found


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


@pytest.mark.parametrize(("name", "expression"), ASKED)
def test_an_expression_is_valid_and_its_metrics_exist(
    exported: dict[str, set[str]], name: str, expression: str
) -> None:
    asked = list(selectors(expression))
    assert asked, name
    for one in asked:
        assert one.name in exported, f"{name}: {one.name} is not exported"
        for matcher in one.matchers.matchers:
            known = exported[one.name]
            assert matcher.name in known or not known, f"{name}: {one.name} has no label {matcher.name}"


@pytest.mark.parametrize(("name", "expression"), ASKED)
def test_an_expression_groups_by_labels_that_exist(exported: dict[str, set[str]], name: str, expression: str) -> None:
    labels = set().union(*exported.values()) | GENERAL | OF_WORKERS
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in group.split(",")} <= labels, name


def test_an_expression_that_is_not_promql_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="parenthesis"):
        list(selectors("sum by (x"))


def test_comparisons_that_are_asked_for_are_ones_there_are() -> None:
    named = {value for _, expression in ASKED for value in re.findall(r'comparison!?="(\w+)"', expression)}
    assert named
    assert named <= {comparison.value for comparison in Comparison}


def test_each_rule_is_complete() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert DURATION.fullmatch(rule["for"]), rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_what_a_rule_says_uses_only_labels_that_its_expression_keeps() -> None:
    for rule in RULES:
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", rule["expr"])))) | {"part"}
        assert used <= kept, rule["alert"]


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & own, f"{panel['title']} lies over another panel"
        cells |= own
        assert panel["type"] in {"timeseries", "stat"}
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "project"]
