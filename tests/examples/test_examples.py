"""The packages under `examples/` are built and installed by pip, tested, and run in a chain."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import yaml
from vconflow_process import pop_all, vconflow

from vconflow.model.vcon import Vcon

EXAMPLES = Path(__file__).parents[2] / "examples"
JSON = {"content-type": "application/json"}
UUID = "01958dd5-27f7-8000-8000-000000000001"


def run(*command: str, env: Mapping[str, str] | None = None, cwd: Path = EXAMPLES) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both packages in it; nothing comes from an index."""
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--target")
    packages = (str(EXAMPLES / "vconflow-example"), str(EXAMPLES / "conserver-module"))
    run("pip", "install", *options, str(target), *packages, env={"PIP_ROOT_USER_ACTION": "ignore"})
    return target


def test_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    """The contract suites of `vconflow.testing`, as the author of a package runs them."""
    folder = EXAMPLES / "vconflow-example"
    options = ("-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "tests"))
    said = run("pytest", *options, env={"PYTHONPATH": str(installed)}, cwd=folder)
    assert " passed" in said
    assert "failed" not in said


def test_its_configuration_is_right(installed: Path) -> None:
    config = str(EXAMPLES / "config.yml")
    said = run("vconflow", "check-config", config, env={"PYTHONPATH": str(installed)})
    assert "mask_cards" in said


def test_the_command_installs_what_a_configuration_names(tmp_path: Path) -> None:
    index, target = tmp_path / "index", tmp_path / "installed"
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir")
    run("pip", "wheel", *options, str(index), str(EXAMPLES / "conserver-module"))
    link = {"module": "count_words", "pip_name": "count-words>=1.0"}
    chain = {"links": ["count"], "ingress_lists": ["in"]}
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"links": {"count": link}, "chains": {"main": chain}}))
    env = {
        "VCONFLOW_ALLOW_INSTALL": "true",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_TARGET": str(target),
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONPATH": str(target),
    }
    check = ("vconflow", "check-config", "--json", str(config))
    before = json.loads(run(*check, env=env))
    assert before["chains"] == {"main": "held"}
    assert "count_words is not installed: run `vconflow install`" in json.dumps(before)
    run("vconflow", "install", "--config", str(config), env=env)
    assert json.loads(run(*check, env=env))["chains"] == {"main": "runs"}


async def test_the_chain_of_the_examples(installed: Path, tmp_path: Path, valkey_url: str) -> None:
    config = yaml.safe_load((EXAMPLES / "config.yml").read_text())
    database = tmp_path / "vcons.sqlite"
    environment = {
        "PYTHONPATH": str(installed),
        "EXAMPLE_DATABASE": str(database),
        "REDIS_URL": valkey_url,
    }
    text = "my card is 4111 1111 1111 1111"
    document = {
        "vcon": "0.0.1",
        "uuid": UUID,
        "created_at": "2025-03-21T06:59:56Z",
        "parties": [{"name": "Ann"}],
        "dialog": [{"type": "text", "start": "2025-03-21T06:59:56Z", "body": text}],
    }
    async with (
        vconflow(tmp_path, config, **environment) as process,
        httpx.AsyncClient(base_url=process.url, timeout=30) as client,
    ):
        body = json.dumps(document)
        reply = await client.post(
            "/vcon", params={"ingress_lists": "in"}, content=body, headers=JSON
        )
        assert reply.status_code == 201, reply.text
        assert await pop_all(client, "out", 1) == [UUID]
        found = Vcon((await client.get(f"/vcon/{UUID}")).content)
        metrics = (await client.get("/metrics")).text
    assert found.dialog[0]["body"] == "my card is ***************1111"
    assert found.tags == ["words:4", "seen:seen"]
    assert 'vconflow_module_events_total{name="count_words.vcons"} 1.0' in metrics
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT uuid, document FROM vcons").fetchall()
    connection.close()
    assert rows == [(UUID, found.to_bytes())]
