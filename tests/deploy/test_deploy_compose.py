"""compose.yml: valid, without a secret in it, and it stops vconflow gently."""

import re
import sys

import yaml
from deploy_files import DEPLOY, ROOT, compose, environment_file, run, settings

from vconflow.config import load


def test_it_follows_the_specification() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    run(sys.executable, "-m", "check_jsonschema", *schema, DEPLOY / "compose.yml")


def test_a_secret_that_is_missing_keeps_it_from_starting() -> None:
    text = (DEPLOY / "compose.yml").read_text()
    example = environment_file(DEPLOY / "compose.env.example")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(example)
    assert set(example.values()) == {""}
    for service in yaml.safe_load(text)["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|AUTH|_URL$", name) and "@" in value:
                assert re.search(r":\$\{\w+:\?[^}]*\}@", value)
            elif re.search("PASSWORD|TOKEN|AUTH", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value)


def test_every_service_is_checked_and_waits_for_the_health_of_what_it_needs() -> None:
    services = compose()["services"]
    for name, service in services.items():
        needs = service.get("depends_on", {})
        assert needs.keys() <= services.keys()
        assert all(need["condition"] == "service_healthy" for need in needs.values())
        # The image of vconflow has its own check.
        assert "healthcheck" in service or name == "vconflow"
        assert service["restart"] == "unless-stopped"


def test_what_is_mounted_is_there() -> None:
    document = compose()
    for service in document["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
                assert volume.endswith(":ro")
            else:
                assert source in document["volumes"]
        assert set(service["networks"]) <= document["networks"].keys()


def test_vconflow_gets_variables_that_it_knows_and_the_time_to_stop() -> None:
    service = compose()["services"]["vconflow"]
    given = settings(service["environment"])
    assert int(service["stop_grace_period"].removesuffix("s")) > given.vconflow_grace_seconds + 10
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_its_configuration_is_valid() -> None:
    environment = compose()["services"]["vconflow"]["environment"]
    config = load(DEPLOY / "config" / "config.yml", environment)
    assert config.chains["main"].storages
