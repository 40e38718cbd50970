"""The Grafana dashboard: its structure, and how it is provisioned."""

import re

from deploy_files import DASHBOARD, DEPLOY, compose, dashboard, load, panels

WIDTH = 24


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= WIDTH
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))


def test_there_is_a_row_for_each_part() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == [
        "At a glance",
        "Intake",
        "Lists",
        "Chains and links",
        "Storages",
        "Failures",
        "Redis and processes",
        "Following other servers",
        "Providers of models",
    ]
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))


def test_every_panel_asks_the_chosen_data_source_and_has_a_unit() -> None:
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        ids = [target["refId"] for target in panel["targets"]]
        assert len(ids) == len(set(ids))
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_variables_that_are_used_are_defined() -> None:
    defined = {variable["name"] for variable in dashboard()["templating"]["list"]}
    assert defined == {"datasource", "instance", "list", "chain"}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used - {"__rate_interval", "__all"} == defined


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    grafana = compose()["services"]["grafana"]
    (source,) = load(DEPLOY / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"] == "$PROMETHEUS_URL"
    assert "PROMETHEUS_URL" in grafana["environment"]
    (provider,) = load(DEPLOY / "grafana/provisioning/dashboards/vconflow.yml")["providers"]
    folder = provider["options"]["path"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounts["./grafana/vconflow.json"] == f"{folder}/{DASHBOARD.name}"
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
