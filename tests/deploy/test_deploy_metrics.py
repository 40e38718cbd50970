"""Alerts, dashboard and autoscaling ask for what vconflow measures, by its own names."""

import ast
import inspect
import re
from functools import cache
from typing import get_origin

import pytest
from deploy_files import KUBERNETES, dashboard, load, manifest, panels, rules
from prometheus_client.parser import text_string_to_metric_families
from promql import labels_grouped_by, matchers_in, metrics_in

from vconflow.api.routes import ROUTES
from vconflow.telemetry import metrics
from vconflow.telemetry.metrics import Labelled

ADDED = {"job", "instance", "replica"}
"""Labels that scraping adds, and the supervisor of several replicas."""

NOT_SHOWN = {
    "vconflow_module_events_total",
    "vconflow_module_threads_stuck",
    "vconflow_module_value",
    "vconflow_replica_restarts_total",
    "vconflow_replicas",
    "vconflow_spans_total",
    "vconflow_storage_conflicts_total",
}
"""What the dashboard leaves out: what is seen better elsewhere, and what only some installations
have, each its own (modules of third parties).
"""


def factories() -> set[str]:
    """The functions that make an instrument, by their names."""
    found = inspect.getmembers(metrics, inspect.isfunction)
    return {name for name, made in found if get_origin(made.__annotations__["return"]) is Labelled}


@cache
def catalogue() -> dict[str, set[str]]:
    """Every series that vconflow shows, with its labels."""
    found: dict[str, set[str]] = {"up": set()}
    makers = factories()
    for call in ast.walk(ast.parse(inspect.getsource(metrics))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id in makers:
            name, _, *labels = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
            found |= _series(call.func.id, f"vconflow_{name}", set(labels))
    # The process' own, which no line of ours makes.
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(sample.name, set(sample.labels))
    return found


def _series(kind: str, name: str, labels: set[str]) -> dict[str, set[str]]:
    if kind != "_histogram":
        return {name: labels}
    bucket = {f"{name}_bucket": labels | {"le"}}
    return bucket | {f"{name}_{part}": labels for part in ("sum", "count")}


def expressions() -> dict[str, str]:
    """Every query in deploy/, by where it is."""
    found = {
        f"alert {rule['alert']} {rule['labels']['severity']}": rule["expr"] for rule in rules()
    }
    for panel in panels():
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    (trigger,) = manifest("ScaledObject", "vconflow")["spec"]["triggers"]
    found["keda"] = trigger["metadata"]["query"]
    (rule,) = load(KUBERNETES / "prometheus-adapter.yml")["externalRules"]
    found["prometheus-adapter"] = rule["seriesQuery"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["definition"]
    return found


EXPRESSIONS = expressions()


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_metrics_and_labels_exist(place: str) -> None:
    expression, known = EXPRESSIONS[place], catalogue()
    used = metrics_in(expression)
    assert used
    assert used <= known.keys()
    allowed = ADDED.union(*(known[name] for name in used))
    if place == "prometheus-adapter":
        allowed.add("namespace")
    assert labels_grouped_by(expression) <= allowed
    for matcher in matchers_in(expression):
        assert matcher.label in known[matcher.metric] | allowed & (ADDED | {"namespace"})


def test_every_alternative_of_a_route_is_a_route() -> None:
    paths = {route.path for route in ROUTES}
    checked = set()
    for expression in EXPRESSIONS.values():
        for matcher in matchers_in(expression):
            if matcher.label == "route":
                checked.add(matcher.value)
                for alternative in matcher.value.split("|/"):
                    pattern = re.compile(
                        alternative if alternative[0] == "/" else f"/{alternative}"
                    )
                    assert any(map(pattern.fullmatch, paths)), alternative
    assert len(checked) == 2


def test_alerts_and_dashboard_see_every_way_in() -> None:
    """Every route that puts vCons on a list is counted where errors of intake are."""
    expression = EXPRESSIONS["alert VconflowAcceptErrors page"]
    pattern = next(m.value for m in matchers_in(expression) if m.label == "route")
    counted = {route.path for route in ROUTES if re.fullmatch(pattern, route.path)}
    assert counted == {
        "/vcon",
        "/vcons",
        "/vcon/ingress",
        "/vcon/external-ingress",
        "/chain/{chain}/ingress",
    }


def test_most_of_the_catalogue_is_on_the_dashboard() -> None:
    shown = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for place, expression in EXPRESSIONS.items()
        for name in metrics_in(expression)
        if place.startswith("panel")
    }
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in catalogue()}
    ours = {n for n in ours if not n.startswith(("python_", "vconflow_process_", "up"))}
    assert ours - shown <= NOT_SHOWN


def test_an_unknown_name_would_be_found() -> None:
    assert metrics_in('sum(rate(vconflow_acepted_total{list="up"}[5m]))') == {
        "vconflow_acepted_total"
    }
    (matcher,) = matchers_in('vconflow_http_seconds_count{route=~"/chain/[{]chain[}]/x"}')
    assert (matcher.label, matcher.value) == ("route", "/chain/[{]chain[}]/x")
    assert labels_grouped_by("a * on (job, list) group_left (chain) b") == {"job", "list", "chain"}
