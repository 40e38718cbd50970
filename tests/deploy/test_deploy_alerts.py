"""Prometheus' configuration and alerts, by promtool, and their pages."""

import re
from collections import defaultdict

import pytest
from deploy_files import KUBERNETES, PROMETHEUS, ROOT, load, rules, run

TESTS = ("alerts_test.yml", "alerts_days_test.yml")


def test_the_configuration_is_valid() -> None:
    assert "1 rule files found" in run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_the_configuration_for_kubernetes_is_valid(tmp_path) -> None:
    text = (KUBERNETES / "prometheus.yml").read_text()
    # Debian builds Prometheus without it.
    discovery = "kubernetes_sd_configs: [{role: pod}]"
    assert discovery in text
    path = tmp_path / "prometheus.yml"
    path.write_text(text.replace(discovery, "static_configs: [{targets: ['127.0.0.1:8000']}]"))
    run("promtool", "check", "config", path)


def test_the_rules_are_valid() -> None:
    said = run("promtool", "check", "rules", PROMETHEUS / "alerts.yml")
    assert f"{len(rules())} rules found" in said


@pytest.mark.parametrize("name", TESTS)
def test_the_alerts_do_what_their_tests_say(name: str) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", PROMETHEUS / name)


def test_every_alert_is_tested_firing_and_quiet() -> None:
    fires, quiet = defaultdict(set), set()
    looks = [
        look
        for name in TESTS
        for case in load(PROMETHEUS / name)["tests"]
        for look in case["promql_expr_test"]
    ]
    for look in looks:
        (alert,) = re.findall(r'alertname="(\w+)"', look["expr"])
        for sample in look["exp_samples"]:
            fires[alert] |= set(re.findall(r'severity="(\w+)"', sample["labels"]))
        if not look["exp_samples"]:
            quiet.add(alert)
    wanted = defaultdict(set)
    for rule in rules():
        wanted[rule["alert"]].add(rule["labels"]["severity"])
    assert fires == wanted
    assert quiet == wanted.keys()


def test_every_alert_says_what_it_is_and_has_a_page() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    sections = re.findall(r"(?m)^### (Vconflow\w+)$", page)
    assert sections == list(dict.fromkeys(rule["alert"] for rule in rules()))
    for rule in rules():
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
