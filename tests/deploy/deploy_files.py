"""What is in `deploy/`, read."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vconflow.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "vconflow.json"
SECRET = "5ec2e7"
"""What tests fill in for every secret."""


def run(*command: str | Path) -> str:
    """Run a tool in the root of the repository; what it says. It must end with 0."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def load(path: Path) -> Any:
    """The one document of a YAML file."""
    return yaml.safe_load(path.read_text())


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every Kubernetes object, with its file."""
    for path in sorted(set(KUBERNETES.glob("*.yaml")) - {KUBERNETES / "kustomization.yaml"}):
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def manifest(kind: str, name: str) -> dict[str, Any]:
    """One Kubernetes object."""
    (found,) = (m for _, m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def compose(secret: str = SECRET) -> dict[str, Any]:
    """compose.yml with its variables filled in: a default if there is one, else the secret."""
    text = (DEPLOY / "compose.yml").read_text()
    text = re.sub(r"\$\{\w+:\?[^}]*\}", secret, text)
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    assert "${" not in text
    return yaml.safe_load(text)


def container(workload: Mapping[str, Any]) -> dict[str, Any]:
    """The one container of a Kubernetes workload."""
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def environment_of_pods() -> dict[str, str]:
    """The variables of a pod of vconflow, secrets included, as Kubernetes would set them."""
    secret = manifest("Secret", "vconflow")["stringData"]
    given = {name: value.replace("PASSWORD", SECRET) or SECRET for name, value in secret.items()}
    for variable in container(manifest("StatefulSet", "vconflow"))["env"]:
        given[variable["name"]] = variable.get("value", "vconflow-0")
    return given


def image() -> dict[str, list[str]]:
    """The instructions of the Dockerfile: their arguments by their names, in order."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text())
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, arguments = line.split(maxsplit=1)
            found.setdefault(name, []).append(arguments)
    return found


def environment_of_image() -> dict[str, str]:
    """The variables that the image sets."""
    pairs = (pair.split("=", 1) for pair in shlex.split(" ".join(image()["ENV"])))
    return dict(pairs)


def environment_file(path: Path) -> dict[str, str]:
    """The variables of an environment file."""
    lines = (line for line in path.read_text().splitlines() if line and line[0] != "#")
    return dict(line.split("=", 1) for line in lines)


def settings(environment: Mapping[str, str]) -> Settings:
    """What vconflow makes of these variables; unknown and bad ones are refused."""
    return Settings.load(environment)


def dashboard() -> dict[str, Any]:
    """The Grafana dashboard."""
    return json.loads(DASHBOARD.read_text())


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard that ask something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    return [rule for group in load(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]
