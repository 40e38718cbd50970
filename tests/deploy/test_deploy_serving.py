"""vconflow runs on what compose.yml and the manifests say of Redis, variables and configuration."""

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest
import yaml
from deploy_files import (
    DEPLOY,
    SECRET,
    compose,
    container,
    environment_of_image,
    environment_of_pods,
    image,
    manifest,
)
from redis.asyncio import Redis
from redis.exceptions import RedisError
from vconflow_process import pop_all, vconflow

from vconflow.adapters.embedded import find_server
from vconflow.testing.servers import Server, free_port

UUID = "019d1000-0000-8000-8000-00000000000a"
VCON = json.dumps({"uuid": UUID, "created_at": "2026-03-22T10:00:00Z"})
ADDRESSES = ("@valkey:6379", "postgresql://vconflow:" + SECRET + "@postgres:5432/vconflow")


class Deployed(NamedTuple):
    command: list[str]
    environment: dict[str, str]
    config: dict[str, Any]


class DeployedRedis(Server):
    """Started by the command of a container, on a loopback port."""

    def __init__(self, path: Path, binary: Path, command: list[str]) -> None:
        super().__init__(path)
        self.port = free_port()
        self.url = f"redis://:{SECRET}@127.0.0.1:{self.port}"
        program, *self._arguments = command
        assert program == "valkey-server"
        self._binary = binary

    def command(self) -> list[str]:
        here = {"$(VALKEY_PASSWORD)": SECRET, "/data": str(self.path)}
        given = [here.get(part, part) for part in self._arguments]
        return [str(self._binary), *given, "--bind", "127.0.0.1", "--port", str(self.port)]

    async def answers(self) -> bool:
        async with Redis.from_url(self.url) as client:
            try:
                return bool(await client.ping())
            except RedisError:
                return False


def of_compose() -> Deployed:
    services = compose()["services"]
    config = yaml.safe_load((DEPLOY / "config" / "config.yml").read_text())
    command, environment = services["valkey"]["command"], services["vconflow"]["environment"]
    return Deployed(command, environment, config)


def of_kubernetes() -> Deployed:
    config = yaml.safe_load(manifest("ConfigMap", "vconflow")["data"]["config.yml"])
    command = container(manifest("StatefulSet", "valkey"))["command"]
    return Deployed(command, environment_of_pods(), config)


@pytest.fixture(params=[of_compose, of_kubernetes])
def deployed(request: pytest.FixtureRequest) -> Deployed:
    return request.param()


@pytest.fixture
async def redis(tmp_path: Path, deployed: Deployed) -> AsyncIterator[DeployedRedis]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = DeployedRedis(folder, await asyncio.to_thread(find_server), deployed.command)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def here(environment: Mapping[str, str], redis: DeployedRedis, dsn: str) -> dict[str, str]:
    """The variables with the addresses of this machine."""
    there = json.dumps(dict(environment))
    for address, ours in zip(ADDRESSES, (f"@127.0.0.1:{redis.port}", dsn), strict=True):
        assert address in there
        there = there.replace(address, ours)
    of_image = environment_of_image()
    names = [name for name in of_image if name.startswith("VCONFLOW_")]
    set_by_image = {name: of_image[name] for name in names}
    return set_by_image | json.loads(there) | {"VCONFLOW_HOST": "127.0.0.1"}


async def test_what_is_accepted_is_stored_and_handed_on(
    tmp_path: Path,
    deployed: Deployed,
    redis: DeployedRedis,
    postgres_dsn: str,
) -> None:
    variables = here(deployed.environment, redis, postgres_dsn)
    async with vconflow(tmp_path / "one", deployed.config, **variables) as server:
        key = {"x-conserver-api-token": SECRET, "content-type": "application/json"}
        async with httpx.AsyncClient(base_url=server.url, headers=key) as client:
            assert (await client.get("/ready")).json()["status"] == "ready"
            reply = await client.post("/vcon?ingress_lists=main", content=VCON)
            assert reply.status_code == 201
            assert await pop_all(client, "main_done", 1) == [UUID]
        await check_health(server.url)
        assert await server.terminate() == 0
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT count(*) FROM vcons") == 1
    await connection.close()


async def check_health(url: str) -> None:
    """The check of the image, as Docker would run it."""
    (instruction,) = image()["HEALTHCHECK"]
    python, *arguments = json.loads(instruction[instruction.index("[") :])
    assert python == "python"
    port = url.rsplit(":", 1)[1]
    for value, code in ((port, 0), (str(free_port()), 1)):
        variables = {"VCONFLOW_PORT": value}
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, *arguments], env=variables, capture_output=True
        )
        assert done.returncode == code, done.stderr


def test_the_folders_of_the_image_are_those_of_the_mounts() -> None:
    set_by_image = environment_of_image()
    file, data = set_by_image["CONSERVER_CONFIG_FILE"], set_by_image["VCONFLOW_DATA_DIR"]
    mounted = {v.split(":")[1] for v in compose()["services"]["vconflow"]["volumes"]}
    pod = manifest("StatefulSet", "vconflow")
    in_pod = {mount["mountPath"] for mount in container(pod)["volumeMounts"]}
    for folders in (mounted, in_pod):
        assert {str(Path(file).parent), data} <= folders
    user = str(pod["spec"]["template"]["spec"]["securityContext"]["runAsUser"])
    assert image()["USER"] == [f"{user}:{user}"]
    assert image()["STOPSIGNAL"] == ["SIGTERM"]
    assert shlex.join(json.loads(image()["ENTRYPOINT"][0]) + json.loads(image()["CMD"][0])) == (
        "vconflow serve"
    )
