"""The dashboard: Grafana takes it, and everything that it draws is there to be drawn."""

import re
from importlib.resources import files
from itertools import combinations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.management.scrape import browser_of, busy
from tests.vhosts.door import open_house
from tests.vhosts.halls import open_cluster

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
_METRIC = re.compile(r"\b(?:rabbitmq|warren)_[a-z_]+")
_LABELS = re.compile(
    r"(?:by|on|group_left) \(([^)]*)\)|group_left\(([^)]*)\)|on\(([^)]*)\)|\{\{(\w+)\}\}|([a-z_]+)=~?\""
)
BY_PROMETHEUS = {"instance", "job", "le"}


@pytest.fixture(scope="module")
def dashboard():
    import json

    return json.loads(files("broker.management").joinpath("grafana.json").read_text(encoding="utf-8"))


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions_of(dashboard):
    found = [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]
    found += [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return found + [each["expr"] for each in dashboard["annotations"]["list"] if "expr" in each]


async def samples():
    """Names of samples with the names of their labels, of a cluster and of a busy node."""
    found = {}
    async with open_cluster() as cluster:
        texts = [(await browser_of(cluster.nodes["n1"].hall).ask("/metrics")).body.decode()]
    async with open_house() as house:
        await busy(house)
        texts.append((await browser_of(house.hall).ask("/metrics")).body.decode())
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_everything_that_it_draws_is_exposed(dashboard, autojump_clock):
    exposed = await samples()
    labels = BY_PROMETHEUS.union(*exposed.values())
    drawn = 0
    for expression in expressions_of(dashboard):
        named = {name for group in _LABELS.findall(expression) for name in re.findall(r"\w+", " ".join(group))}
        assert named <= labels, expression
        metrics = set(_METRIC.findall(expression)) - labels
        assert metrics, expression
        assert metrics <= exposed.keys(), expression
        drawn += len(metrics)
    assert drawn > 100


def test_legends_name_labels_that_are_left(dashboard):
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            kept = " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in re.findall(r"\w+", kept), target


def test_counters_are_drawn_as_rates_and_gauges_are_not(dashboard):
    for expression in expressions_of(dashboard):
        for name in _METRIC.findall(expression):
            if name.endswith(("_total", "_bucket")):
                assert re.search(rf"(rate|increase)\({name}\[", expression), expression
            else:
                assert f"rate({name}" not in expression, expression


def test_every_panel_is_whole(dashboard):
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} == {"row", "stat", "timeseries"}
    for panel in panels_of(dashboard):
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == DATASOURCE
        assert panel["fieldConfig"].keys() == {"defaults", "overrides"}
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE
            assert target["expr"].count("(") == target["expr"].count(")")


def test_no_panel_lies_on_another(dashboard):
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert place.keys() == {"h", "w", "x", "y"}
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_it_fits_any_grafana(dashboard):
    assert dashboard["id"] is None, "Grafana gives it one"
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["title"]
    assert len(dashboard["uid"]) <= 40
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = {name for text in expressions_of(dashboard) for name in re.findall(r"\$(\w+)", text)}
    assert used - {"__rate_interval"} <= variables
    assert dashboard["templating"]["list"][0]["type"] == "datasource"


async def test_every_node_hands_it_out(dashboard, autojump_clock):
    async with open_house() as house:
        answer = await browser_of(house.hall).ask("/metrics/grafana.json")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json == dashboard
