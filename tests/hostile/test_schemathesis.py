"""The API against its own description, by schemathesis with all its checks.

Generated requests, valid ones and invalid ones, go to a real process: every status, header and
body that comes back must be as documented, what is valid must be accepted, what is not refused.
A run is repeated by its seed: `VCONFLOW_TEST_SEED=7 make test ARGS="-k schemathesis"`.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from vconflow_process import VconflowProcess, vconflow

FOLDER = Path(__file__).parent / "schemathesis"
SEED = os.environ.get("VCONFLOW_TEST_SEED", "1")
EXAMPLES = os.environ.get("VCONFLOW_TEST_EXAMPLES", "10")
TOKEN = "sesame"
SECONDS = 280.0
LONGEST_LINE = 600

CONFIG = {
    "links": {"tag": {"module": "links.tag", "options": {"tags": ["checked"]}}},
    "ingress_auth": {"inbox": "partner-key"},
    "chains": {
        "main": {
            "links": ["tag"],
            "storages": ["files"],
            "ingress_lists": ["inbox"],
            "egress_lists": ["done"],
            "enabled": 1,
        }
    },
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[VconflowProcess]:
    files = {"module": "storage.file", "options": {"path": str(tmp_path / "files")}}
    config = CONFIG | {"storages": {"files": files}}
    async with vconflow(
        tmp_path, config, CONSERVER_API_TOKEN=TOKEN, VCONFLOW_LOG_FORMAT="json"
    ) as process:
        yield process


# POST /config has a server of its own, since it changes what the other routes answer.
@pytest.mark.parametrize(
    "operations",
    [
        ["--exclude-path-regex", "^/config"],
        ["--include-path-regex", "^/config"],
    ],
    ids=["all-but-config", "config"],
)
async def test_the_api_is_what_its_description_says(
    server: VconflowProcess, tmp_path: Path, operations: Sequence[str]
) -> None:
    code, report = await schemathesis(server.url, tmp_path, operations)
    assert code == 0, f"seed {SEED}\n{report}"
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/health")).status_code == 200
    assert '"unhandled"' not in server.log.read_text()


async def schemathesis(url: str, folder: Path, options: Sequence[str]) -> tuple[int, str]:
    """Run it; its exit code and what it wrote."""
    report = folder / "schemathesis.txt"
    with report.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", str(FOLDER / "schemathesis.toml")),
            *("run", f"{url}/openapi.json", "--url", url),
            *("--header", f"x-conserver-api-token: {TOKEN}"),
            *("--seed", SEED, "--max-examples", EXAMPLES),
            *options,
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
            # Its hooks and what it keeps are looked for in the working folder.
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(FOLDER), "NO_COLOR": "1"},
        )
        async with asyncio.timeout(SECONDS):
            code = await process.wait()
    lines = report.read_text().splitlines()
    return code, "\n".join(line[:LONGEST_LINE] for line in lines)
