"""What a start needs, and what it leaves alone."""

import re
from pathlib import Path

from vconflow_process import vconflow

HEAVY = {
    *("asyncpg", "boto3", "botocore", "aioboto3", "joserfc", "elasticsearch"),
    *("grpc", "numpy", "openai", "pandas", "pymilvus", "pymongo", "swagger_ui", "schemathesis"),
    "requests",
}
"""Of components that are not configured, of pages nobody asked for, and of tests."""
LARGEST_BYTES = 80_000_000
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""A measurement of coverage has to be kept somewhere too: in the process that is measured."""

CONFIG = {
    "links": {"tag": {"module": "links.tag", "options": {"tags": ["seen"]}}},
    "storages": {"file": {"module": "storage.file"}},
    "chains": {
        "main": {
            "links": ["tag"],
            "ingress_lists": ["in"],
            "storages": ["file"],
            "egress_lists": ["out"],
        }
    },
}


async def test_a_server_imports_nothing_that_is_not_configured(
    tmp_path: Path, valkey_url: str
) -> None:
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    environment = {"REDIS_URL": valkey_url, **bytecode, **UNMEASURED}
    # The first start compiles, which takes memory that the second does not need.
    async with vconflow(tmp_path, CONFIG, **environment):
        pass
    environment["PYTHONPROFILEIMPORTTIME"] = "1"
    async with vconflow(tmp_path, CONFIG, **environment) as process:
        imported = set(re.findall(r"\| +(\w+)", process.log.read_text()))
        assert {"vconflow", "redis", "yaml"} <= imported
        assert imported & HEAVY == set()
        assert resident(process.process.pid) < LARGEST_BYTES


async def test_a_supervisor_has_no_server_in_it(tmp_path: Path, valkey_url: str) -> None:
    environment = {"REDIS_URL": valkey_url, "CONSERVER_WORKERS": "2"}
    async with vconflow(tmp_path, CONFIG, **environment) as process:
        pid = process.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        sizes = [resident(int(child)) for child in children]
        assert len(sizes) == 2
        assert resident(pid) < 0.8 * min(sizes)


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) * 1024
