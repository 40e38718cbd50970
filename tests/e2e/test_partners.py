"""Partners and keys with roles at a real process."""

import json
from pathlib import Path
from typing import Any

import httpx
from vconflow_process import pop_all, vconflow

from vconflow.model.identifiers import new_uuid

HEADER = "x-conserver-api-token"
CONFIG: dict[str, Any] = {
    "api_keys": {"viewer": {"key": "${VIEWER_KEY}", "role": "read"}},
    "ingress_auth": {"inbox": ["${ACME_KEY}", {"name": "beta", "key": "beta-key"}]},
    "chains": {"main": {"ingress_lists": ["inbox"], "links": [], "egress_lists": ["out"]}},
}


def vcon(uuid: str, subject: str) -> bytes:
    members: dict[str, Any] = {"parties": [], "dialog": [], "analysis": [], "attachments": []}
    head = {"vcon": "0.0.1", "uuid": uuid, "created_at": "2024-01-01T00:00:00Z"}
    return json.dumps({**head, "subject": subject, **members}).encode()


async def test_a_partner_cannot_overwrite_what_only_a_storage_has(tmp_path: Path) -> None:
    """A folder that was there before, say, or a Redis that was lost."""
    files = tmp_path / "files"
    files.mkdir()
    storages = {"files": {"module": "storage.file",
                          "options": {"path": str(files), "organize_by_date": False}}}  # fmt: skip
    main = {**CONFIG["chains"]["main"], "storages": ["files"]}
    config = {"ingress_auth": {"inbox": "acme-key"}, "storages": storages, "chains": {"main": main}}
    uuid, other = new_uuid("stored"), new_uuid("other")
    stored = files / f"{uuid}.json"
    stored.write_bytes(vcon(uuid, "ours"))
    async with (
        vconflow(tmp_path, config, CONSERVER_API_TOKEN="boss") as process,
        httpx.AsyncClient(base_url=process.url, headers={HEADER: "acme-key"}) as client,
    ):
        path = "/vcon/external-ingress?ingress_list=inbox"
        assert (await client.post(path, content=vcon(uuid, "stolen"))).status_code == 409
        for subject in ("theirs", "corrected"):
            assert (await client.post(path, content=vcon(other, subject))).status_code == 204
        client.headers[HEADER] = "boss"
        assert await pop_all(client, "out", 2) == [other, other]
        stored_by_them = json.loads((files / f"{other}.json").read_bytes())
        assert stored_by_them["subject"] == "corrected"
    assert stored.read_bytes() == vcon(uuid, "ours")


async def test_partners_feed_their_list_and_cannot_touch_what_others_stored(tmp_path: Path) -> None:
    environment = {
        "CONSERVER_API_TOKEN": "boss",
        "VIEWER_KEY": "viewer-key",
        "ACME_KEY": "acme-key",
    }
    external = "/vcon/external-ingress?ingress_list=inbox"
    uuid = new_uuid("partners")
    async with (
        vconflow(tmp_path, CONFIG, **environment) as process,
        httpx.AsyncClient(base_url=process.url) as client,
    ):

        async def send(key: str, subject: str) -> httpx.Response:
            return await client.post(external, content=vcon(uuid, subject), headers={HEADER: key})

        assert (await send("acme-key", "theirs")).status_code == 204
        stolen = await send("beta-key", "stolen")
        assert stolen.status_code == 409
        assert "theirs" not in stolen.text
        assert (await send("boss", "x")).status_code == 403
        client.headers[HEADER] = "boss"
        assert await pop_all(client, "out", 1) == [uuid]
        shown = (await client.get("/config")).json()
        assert shown["api_keys"]["viewer"]["key"] == "${VIEWER_KEY}"
        assert shown["ingress_auth"]["inbox"][1] == {"name": "beta", "key": "***"}
        client.headers[HEADER] = "viewer-key"
        assert (await client.get(f"/vcon/{uuid}")).json()["subject"] == "theirs"
        assert (await client.delete(f"/vcon/{uuid}")).status_code == 403
        assert await process.terminate() == 0
        log = process.log.read_text()
    refused = [json.loads(line) for line in log.splitlines() if '"stream":"audit"' in line]
    assert {(line["key"], line["status"]) for line in refused} == {
        ("", 403),
        ("viewer", 403),
        ("main", 200),
    }
    assert not any(key in log for key in ("acme-key", "beta-key", "viewer-key", "boss"))
