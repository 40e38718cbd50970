"""The Kubernetes manifests: valid, consistent, and gentle to what is under way."""

from typing import Any

import kubernetes_validate
import pytest
from deploy_files import (
    DEPLOY,
    KUBERNETES,
    container,
    environment_of_pods,
    load,
    manifest,
    manifests,
    settings,
)

from vconflow.api.routes import ROUTES

VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest that is meant to work, and the newest that is known."""


def workloads() -> list[dict[str, Any]]:
    return [manifest("StatefulSet", name) for name in ("vconflow", "valkey")]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_follows_its_schema_and_says_nothing_unknown(version: str) -> None:
    seen = set()
    for path, document in manifests():
        # KEDA's objects are not Kubernetes' own.
        if document["kind"] != "ScaledObject":
            kubernetes_validate.validate(document, version, strict=True)
            seen.add((path.name, document["kind"]))
    assert ("vconflow.yaml", "StatefulSet") in seen
    assert ("autoscaling-hpa.yaml", "HorizontalPodAutoscaler") in seen


def test_a_misspelt_field_would_be_found() -> None:
    document = manifest("StatefulSet", "vconflow")
    document["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[0], strict=True)


def test_the_kustomization_names_files_that_are_there() -> None:
    text = (KUBERNETES / "kustomization.yaml").read_text()
    named = load(KUBERNETES / "kustomization.yaml")["resources"]
    optional = [line.split()[-1] for line in text.splitlines() if line.startswith("  #- auto")]
    assert len(optional) == 2
    assert all((KUBERNETES / name).is_file() for name in [*named, *optional])


def test_selectors_find_the_pods_and_services_have_their_names() -> None:
    for workload in workloads():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"] == labels
        service = manifest("Service", workload["spec"]["serviceName"])
        assert service["spec"]["selector"] == labels
        assert service["spec"]["clusterIP"] == "None"
    labels = manifest("StatefulSet", "vconflow")["metadata"]["labels"]
    assert manifest("Service", "vconflow")["spec"]["selector"] == labels
    assert manifest("PodDisruptionBudget", "vconflow")["spec"]["selector"]["matchLabels"] == labels


def test_what_pods_refer_to_is_there() -> None:
    for workload in workloads():
        pod, main = workload["spec"]["template"]["spec"], container(workload)
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in claims}
        assert {mount["name"] for mount in main["volumeMounts"]} == volumes
        # A file mounted by subPath never changes.
        assert not any("subPath" in mount for mount in main["volumeMounts"])
    assert manifest("Secret", "vconflow")
    assert "VALKEY_PASSWORD" in manifest("Secret", "valkey")["stringData"]


def test_vconflow_gets_variables_that_it_knows() -> None:
    given = settings(environment_of_pods())
    assert given.vconflow_replica == "vconflow-0"
    assert given.vconflow_durability == "fsync"
    # Else there would be VCONFLOW_PORT=tcp://… of the service.
    spec = manifest("StatefulSet", "vconflow")["spec"]["template"]["spec"]
    assert spec["enableServiceLinks"] is False


def test_a_pod_has_the_time_to_stop() -> None:
    workload = manifest("StatefulSet", "vconflow")
    pause = int(container(workload)["lifecycle"]["preStop"]["exec"]["command"][-1])
    needed = pause + settings(environment_of_pods()).vconflow_grace_seconds
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > needed + 10


def test_probes_ask_routes_that_need_no_key_and_give_a_stuck_loop_its_time() -> None:
    main = container(manifest("StatefulSet", "vconflow"))
    open_routes = {route.path for route in ROUTES if route.auth.name == "NONE"}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert main[probe]["httpGet"]["path"] in open_routes
    assert main["livenessProbe"]["httpGet"]["path"] == "/health"
    assert main["readinessProbe"]["httpGet"]["path"] == "/ready"
    liveness = main["livenessProbe"]
    patience = liveness["periodSeconds"] * liveness["failureThreshold"]
    assert patience > settings(environment_of_pods()).vconflow_loop_stall


def test_memory_holds_the_bodies_that_are_allowed_at_once() -> None:
    limit = container(manifest("StatefulSet", "vconflow"))["resources"]["limits"]["memory"]
    allowed = settings(environment_of_pods()).vconflow_max_bodies_bytes
    assert int(limit.removesuffix("Gi")) << 30 > 2 * allowed + (256 << 20)


def test_pods_may_do_little() -> None:
    for workload in workloads():
        pod, main = workload["spec"]["template"]["spec"], container(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert main["securityContext"]["readOnlyRootFilesystem"] is True
        assert main["securityContext"]["allowPrivilegeEscalation"] is False
        assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_configuration_is_that_of_the_compose_file() -> None:
    here = manifest("ConfigMap", "vconflow")["data"]["config.yml"].splitlines()
    there = (DEPLOY / "config" / "config.yml").read_text().splitlines()
    assert [line for line in here if "#" not in line] == [line for line in there if "#" not in line]


def test_both_ways_of_autoscaling_do_the_same() -> None:
    keda = manifest("ScaledObject", "vconflow")["spec"]
    hpa = manifest("HorizontalPodAutoscaler", "vconflow")["spec"]
    assert hpa["behavior"] == keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert hpa["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (
        keda["minReplicaCount"],
        keda["maxReplicaCount"],
    )
    for target in (hpa["scaleTargetRef"], keda["scaleTargetRef"]):
        assert manifest(target["kind"], target["name"])
    (external,), (trigger,) = hpa["metrics"], keda["triggers"]
    assert external["external"]["target"]["averageValue"] == trigger["metadata"]["threshold"]
    # Metadata of a trigger are strings.
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    (rule,) = load(KUBERNETES / "prometheus-adapter.yml")["externalRules"]
    assert external["external"]["metric"]["name"] == rule["name"]["as"]
    bare = rule["metricsQuery"].replace("{<<.LabelMatchers>>}", "")
    assert bare == trigger["metadata"]["query"]
