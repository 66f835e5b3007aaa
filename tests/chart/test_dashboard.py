"""The dashboard: one file for Grafana, of which every question is one that Prometheus understands and Millrace answers."""

import json
import re

import pytest
import yaml

import helm as helms
import promql

FILE = helms.CHART / "dashboards/millrace.json"
DASHBOARD = json.loads(FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
BUILT_IN = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h", "objective": "0.999"}


def expressions():
    """(who asks, the expression with Grafana's variables filled in)."""
    asked = [(f"{panel['title']} {target['refId']}", target["expr"]) for panel in PANELS for target in panel["targets"]]
    asked += [(f"annotation {note['name']}", note["expr"]) for note in DASHBOARD["annotations"]["list"]]
    return [(who, re.sub(r"\$(\w+)", lambda found: BUILT_IN.get(found[1], "x"), text)) for who, text in asked]


def test_every_expression_parses():
    fault = promql.unparsed([text for _, text in expressions()])
    assert not fault, fault


def test_every_expression_asks_for_what_is_exported(millrace):
    series = promql.exported(millrace)
    assert [(who, fault) for who, text in expressions() for fault in promql.unknown(text, series)] == []


def test_every_expression_is_of_the_chosen_releases():
    for panel in PANELS:
        for target in panel["targets"]:
            for matchers in re.findall(r"\b(?:millrace_|process_|up\b)\w*({.*?})?", target["expr"]):
                assert '{namespace=~"$namespace",job=~"$release"' in matchers, f"{panel['title']}: {target['expr']}"


def test_every_variable_is_declared_and_used():
    text = FILE.read_text()
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([DASHBOARD["panels"], DASHBOARD["annotations"],
                                                     DASHBOARD["templating"]])))
    assert used - {"__all", "__rate_interval"} == VARIABLES
    assert {"datasource", "namespace", "release", "topic"} <= VARIABLES
    assert "DS_PROMETHEUS" not in text and "__inputs" not in text, "an export for sharing asks for a data source first"


def test_panels_have_ids_and_places_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) and len(PANELS) >= 24
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_says_what_it_shows():
    titles = [panel["title"] for panel in PANELS]
    assert all(titles) and len(titles) == len(set(titles))
    assert all(panel["type"] == "table" or panel["type"] == "heatmap" or panel["fieldConfig"]["defaults"]["unit"]
               for panel in PANELS)


def test_it_comes_into_grafana_as_it_stands(helm):
    on = ["--set", "metrics.dashboard.enabled=true"]
    found, = [item for item in helms.of_kind(helm.objects(*on), "ConfigMap") if item["metadata"]["name"].endswith("dashboard")]
    assert json.loads(found["data"]["millrace.json"]) == DASHBOARD
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Millrace"}
    assert DASHBOARD["uid"] == "millrace" and DASHBOARD.get("id") is None
    assert len(yaml.safe_dump(found)) < 500_000
    assert not [item for item in helm.objects() if item["metadata"]["name"].endswith("dashboard")]


@pytest.mark.parametrize("wrong, fault", [
    ("rate(millrace_evnets_total[5m])", "millrace_evnets_total is not exported"),
    ('millrace_events_total{reason="x"}', "millrace_events_total has no label reason"),
    ("sum by (upstream) (millrace_events_total)", "nothing here has a label upstream"),
    ("vector(0)", "'vector(0)' asks for nothing of ours")])
def test_a_wrong_question_would_be_found(millrace, wrong, fault):
    assert promql.unknown(wrong, promql.exported(millrace)) == [fault]
    assert "parse error" in promql.unparsed(["sum(up", "up"])
