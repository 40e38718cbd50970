"""Running migrations, and looking at what they leave."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_process import vconflow
from conserver_data import CONFIG, Conserver
from redis import Redis

from vconflow.adapters.redis.migration import Migration
from vconflow.cli.migrate_run import Row, migrate
from vconflow.config import Config
from vconflow.conserver_data import routes_of

either_format = pytest.mark.parametrize("conserver", ["RedisJSON"], indirect=True)
"""Of tests to which it makes no difference how documents are kept."""


def run_migrate(folder: Path, url: str, *options: str) -> tuple[int, str, str]:
    """Run `vconflow migrate` to its end: exit code, stdout and stderr."""
    with started(folder, url, *options) as process:
        code = process.wait()
        return code, process.stdout, process.stderr


def started(folder: Path, url: str, *options: str) -> Any:
    """A running `vconflow migrate`, as a context."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yml").write_text(yaml.safe_dump(CONFIG))
    return vconflow(folder, "migrate", *options, env={"REDIS_URL": url})


async def migrate_here(migration: Migration, config: Config, console: Any) -> list[Row]:
    """One pass in this process."""
    routes, rows = routes_of(config), list[Row]()
    await migrate(migration, routes, await migration.survey(routes), rows, console)
    return rows


def entries(client: "Redis[str]", name: str) -> list[str]:
    """The uuids on a list of ours."""
    return [fields["uuid"] for _, fields in client.xrange(f"vconflow:list:{name}")]


def letters(client: "Redis[str]", name: str) -> list[dict[str, str]]:
    """The dead letters of a list of ours."""
    return [fields for _, fields in client.xrange(f"vconflow:dead:{name}")]


def contents(url: str) -> Mapping[bytes, Any]:
    """Everything in Redis."""
    with Redis.from_url(url) as raw:
        return {key: raw.dump(key) for key in raw.scan_iter()}


def documents(conserver: Conserver, uuids: list[str]) -> dict[str, str]:
    """Each document as the conserver reads it."""
    return {uuid: conserver.get(uuid) for uuid in uuids}
