"""Configurations and requests that take several steps."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from loading import vcons
from redis_view import redis_view, until
from vconflow_process import pop_all, vconflow

from vconflow.testing.tcp_proxy import Direction, tcp_proxy

KEY = "the key of the tools"
AUTH = {"x-conserver-api-token": KEY}


async def test_a_tag_as_mapping_and_flat_files_with_a_time(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    config = {
        "links": {"tag": {"module": "links.tag", "options": {"tags": {"source": "pbx", "n": 1}}}},
        "storages": {
            "file": {
                "module": "storage.file",
                "options": {
                    "path": str(tmp_path / "flat"),
                    "organize_by_date": False,
                    "add_timestamp_to_filename": True,
                    "filename": "call",
                    "extension": "vcon",
                },
            }
        },
        "chains": {
            "main": {
                "links": ["tag"],
                "ingress_lists": ["in"],
                "storages": ["file"],
                "egress_lists": ["out"],
                "enabled": 1,
            }
        },
    }
    documents = vcons(shared_data, 3)
    async with (
        vconflow(tmp_path, config, REDIS_URL=valkey_url) as process,
        httpx.AsyncClient(base_url=process.url, timeout=30) as client,
    ):
        for body in documents.values():
            reply = await client.post("/vcon?ingress_lists=in", content=body)
            assert reply.status_code == 201
        await pop_all(client, "out", 3)
    files = {
        path.name: json.loads(path.read_bytes()) for path in (tmp_path / "flat").glob("*.vcon")
    }
    assert {document["uuid"] for document in files.values()} == documents.keys()
    for name, document in files.items():
        assert re.fullmatch(rf"call_{document['uuid']}_\d{{8}}T\d{{12}}Z\.vcon", name)
        tags = [
            it for it in document["attachments"] if "tags" in (it.get("purpose"), it.get("type"))
        ]
        assert {"source:pbx", "n:1"} <= set(tags[0]["body"]) | set(
            json.loads(json.dumps(tags[0]["body"]))
        )


async def test_a_configuration_is_fetched_changed_and_sent_back(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """As tools do: everything that they do not understand goes back as it came."""
    config: dict[str, Any] = {
        "links": {"tag": {"module": "links.tag", "options": {"tags": ["old"]}}},
        "chains": {"main": {"links": ["tag"], "ingress_lists": ["in"], "egress_lists": ["out"]}},
        "ingress_auth": {"in": ["the key of a partner"]},
    }
    documents = vcons(shared_data, 2)
    first, second = documents
    partner = {"x-conserver-api-token": "the key of a partner"}
    async with (
        vconflow(tmp_path, config, REDIS_URL=valkey_url, CONSERVER_API_TOKEN=KEY) as process,
        httpx.AsyncClient(base_url=f"{process.url}/api", timeout=30, headers=AUTH) as client,
    ):
        shown = (await client.get("/config")).json()
        assert "the key of a partner" not in json.dumps(shown)
        shown["links"]["tag"]["options"]["tags"] = ["new"]
        shown["chains"]["more"] = {"ingress_lists": ["in2"], "egress_lists": ["out2"]}
        reply = await client.post("/config", json=shown)
        assert (reply.status_code, reply.content) == (204, b"")
        assert (await client.get("/config")).json() == shown
        # The stored secret is still in force, and so is the change.
        for query, key, uuid, out in (
            ("external-ingress?ingress_list=in", partner, first, "out"),
            ("?ingress_lists=in2", AUTH, second, "out2"),
        ):
            path = f"/vcon/{query}" if query[0] != "?" else f"/vcon{query}"
            reply = await client.post(path, content=documents[uuid], headers=key)
            assert reply.status_code in (201, 204), reply.text
            assert await pop_all(client, out, 1) == [uuid]
        assert "new" in (await client.get(f"/vcon/{first}")).text
        broken = shown | {"chains": {"main": {"links": ["tags"], "ingress_lists": ["in"]}}}
        reply = await client.post("/config", json=broken)
        assert reply.status_code == 422
        assert "unknown link 'tags', did you mean 'tag'?" in reply.text
        assert (await client.get("/config")).json() == shown


@pytest.mark.parametrize("path", ["/vcon", "/api/vcons"])
async def test_a_post_is_repeated_after_a_cut_and_counts_once(
    tmp_path: Path, shared_data: Path, valkey_url: str, path: str
) -> None:
    config = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}}}
    uuid, body = next(iter(vcons(shared_data, 1).items()))
    headers = {"Idempotency-Key": "call 4711", "Content-Type": "application/json"}
    async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
        async with tcp_proxy(process.url.removeprefix("http://")) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"

            async def post(content: bytes = body) -> httpx.Response:
                async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                    query = {"ingress_lists": "in"}
                    return await client.post(path, params=query, content=content, headers=headers)

            for byte_count in (1, 20, 200):
                proxy.cut_after(byte_count, Direction.REPLIES)
                with pytest.raises(httpx.TransportError):
                    await post()
            proxy.restore()
            replies = await asyncio.gather(*(post() for _ in range(5)))
            assert [(it.status_code, it.content) for it in replies] == [(201, body)] * 5
            other = await post(body.replace(b'"uuid"', b'"x": 1, "uuid"', 1))
            assert other.status_code == 409
        with redis_view(valkey_url) as view:
            await until(lambda: view.length("in") == 0)
            assert view.ever_added("in") == 1
        async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
            assert await pop_all(client, "out", 1) == [uuid]
