"""Modules of the reference's contract in a whole server, on a real Valkey."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from module_support import Served, chain_of, document_of, served, until

from vconflow.adapters.modules.importing import import_module
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.telemetry.metrics import REGISTRY

trouble: Any = import_module("ajax.trouble")

FAST = {"attempts": 2, "base": 0.01, "max": 0.02}

PATIENT = FAST | {"attempts": 100}


def link(module: str, **options: Any) -> dict[str, Any]:
    return {"module": module, "options": options, "retry": FAST}


def config_of(folder: Path, links: dict[str, Any], **chain: Any) -> dict[str, Any]:
    shelf = {"module": "ajax.shelf", "options": {"path": str(folder)}}
    files = {"module": "storage.file", "options": {"path": str(folder / "files")}}
    return {
        "links": links,
        "storages": {"shelf": shelf, "files": files},
        "chains": {"main": chain_of(*links, storages=["shelf", "files"]) | chain},
    }


async def test_from_post_to_egress(tmp_path: Path, redis_url: str) -> None:
    links = {
        "tag": link("ajax.tagging"),
        "own": link("ajax.sample"),
        "wait": link("ajax.waiting"),
    }
    uuids = [new_uuid() for _ in range(40)]
    async with served(tmp_path, redis_url, config_of(tmp_path, links)) as it:
        await it.post(*map(document_of, uuids))
        assert sorted(await it.popped(len(uuids))) == sorted(uuids)
        for uuid in uuids:
            vcon = await it.vcon(uuid)
            assert vcon.tags == ["iron:tag", "maiden:tag", "waited:yes"]
            assert json.loads((tmp_path / f"{uuid}.json").read_text()) == json.loads(
                vcon.to_bytes()
            )
        reply = await it.client.delete(f"/vcon/{uuids[0]}")
        assert reply.status_code == 204
        assert not (tmp_path / f"{uuids[0]}.json").exists()


async def test_halting_replacing_and_routing(tmp_path: Path, valkey_url: str) -> None:
    only = {"section": "attachments", "purpose": "tags", "includes": "go:on"}
    chains = {
        "gate": chain_of("gate", "route", ingress_lists=["a"], egress_lists=["out"]),
        "copy": chain_of("copy", "tag", ingress_lists=["b"], egress_lists=["copied"]),
        "also": chain_of("tag", ingress_lists=["also"], egress_lists=["also_out"]),
    }
    config = {
        "links": {
            "gate": link("ajax.gate", only_if=only),
            "route": link("ajax.routing", lists=["also", "archive"]),
            "copy": link("ajax.copying", also="also"),
            "tag": link("ajax.tagging", tags=["t"]),
        },
        "chains": chains,
    }
    halted, passed, copied = (new_uuid() for _ in range(3))
    going_on = [{"type": "tags", "body": ["go:on"], "encoding": "json"}]
    async with served(tmp_path, valkey_url, config) as it:
        await it.post(document_of(halted), document_of(passed, attachments=going_on), to="a")
        await it.settled("a", "also")
        assert await it.popped(1) == [passed]
        assert await it.popped(1, "archive") == [passed]
        assert await it.popped(1, "also_out") == [passed]
        assert (await it.vcon(passed)).tags == ["go:on", "t:tag"]
        await it.post(document_of(copied), to="b")
        (new,) = await it.popped(1, "copied")
        assert await it.popped(1, "also_out") == [new]
        assert (await it.vcon(new)).subject == f"copy {copied}"
        assert (await it.vcon(copied)).get("meta") == {"copied": True}


async def test_failing_for_good(tmp_path: Path, valkey_url: str) -> None:
    links = {"tag": link("ajax.tagging"), "bad": link("ajax.trouble", how="fail")}
    async with served(tmp_path, valkey_url, config_of(tmp_path, links)) as it:
        await it.post(document_of(uuid := new_uuid()))
        (letter,) = await it.dead()
        assert (letter["uuid"], letter["stage"], letter["attempts"]) == (uuid, "link:bad", 2)
        assert "no such luck: ä" in json.dumps(letter, ensure_ascii=False)
        # What the link before did stays, and nothing half of this one.
        assert (await it.vcon(uuid)).tags == ["iron:tag", "maiden:tag"]
        assert not list(tmp_path.glob("*.json"))


async def test_sys_exit_ends_no_server(tmp_path: Path, valkey_url: str) -> None:
    links = {"bad": link("ajax.trouble", how="exit")}
    async with served(tmp_path, valkey_url, config_of(tmp_path, links)) as it:
        await it.post(*(document_of() for _ in range(3)))
        letters = await it.dead(3)
        assert {letter["attempts"] for letter in letters} == {1}
        assert (await it.client.get("/health")).status_code == 200


async def test_a_change_meanwhile_and_the_one_of_the_module_are_both_kept(
    tmp_path: Path, valkey_url: str
) -> None:
    links = {"slow": link("ajax.trouble", how="sleep", seconds=0.5, calls=str(tmp_path / "calls"))}
    uuid = new_uuid()
    async with served(tmp_path, valkey_url, config_of(tmp_path, links)) as it:
        await it.post(document_of(uuid))
        await until((tmp_path / "calls").exists)
        theirs = json.loads(document_of(uuid)) | {"subject": "changed meanwhile"}
        reply = await it.client.put(f"/vcon/{uuid}", json=theirs)
        assert reply.status_code == 200, reply.text
        await it.popped(1)
        vcon = await it.vcon(uuid)
        assert (vcon.subject, vcon.tags) == ("changed meanwhile", ["begun:x", "ended:x"])


async def stuck(it: Served, count: int, total: int) -> None:
    await it.post(*(document_of() for _ in range(count)))
    await until(lambda: REGISTRY.get_sample_value("vconflow_module_threads_stuck") == total)


async def test_hanging_ones_show_in_ready_and_the_others_go_on(
    tmp_path: Path, valkey_url: str
) -> None:
    hang = link("ajax.trouble", how="hang") | {"timeout": 0.1, "retry": {"attempts": 1}}
    config = {
        "links": {"hang": hang, "tag": link("ajax.tagging") | {"retry": PATIENT}},
        "chains": {
            "bad": chain_of("hang", ingress_lists=["in"], egress_lists=["never"]),
            "good": chain_of("tag", ingress_lists=["good"]),
        },
    }
    limits = {"VCONFLOW_MODULE_STUCK_THREADS": "3", "VCONFLOW_MODULE_THREADS": "2"}
    async with served(tmp_path, valkey_url, config, **limits) as it:
        await stuck(it, 2, total=2)
        await it.post(document_of(uuid := new_uuid()), to="good")
        assert await it.popped(1) == [uuid]
        assert "modules" not in (await it.client.get("/ready")).text
        await stuck(it, 1, total=3)
        ready = (await it.client.get("/ready")).text
        assert "3 threads of modules do not come back" in ready
        # Nothing is lost by it: what needs a thread waits.
        await it.post(document_of(late := new_uuid()), to="good")
        await asyncio.sleep(0.05)
        trouble.RELEASE.set()
        assert await it.popped(1) == [late]
        assert "modules" not in (await it.client.get("/ready")).text
    trouble.RELEASE.clear()


async def test_a_module_in_a_configuration_over_http(tmp_path: Path, valkey_url: str) -> None:
    config = config_of(tmp_path, {"tag": link("ajax.tagging", tags=["hidden"])})
    file = tmp_path / "config.yml"
    file.write_text(json.dumps(config))
    async with served(tmp_path, valkey_url, config, file) as it:
        shown = (await it.client.get("/config")).json()
        assert shown["links"]["tag"]["options"] == {"tags": ["***"]}
        assert shown["storages"]["shelf"]["options"] == {"path": "***"}
        # What came back masked is what the file says; anything else is not for HTTP to say.
        shown["chains"]["main"]["concurrency"] = 3
        reply = await it.client.post("/config", json=shown)
        assert reply.status_code == 204, reply.text
        assert it.app.site.config.chains["main"].concurrency == 3
        shown["storages"]["shelf"]["options"] = {"path": "/etc"}
        reply = await it.client.post("/config", json=shown)
        assert reply.status_code == 422
        assert "only this server's configuration file may set options" in reply.text
        await it.post(document_of(uuid := new_uuid()))
        await it.popped(1)
        assert (await it.vcon(uuid)).tags == ["hidden:tag"]


@pytest.mark.parametrize("concurrency", [1, 64])
async def test_as_many_at_a_time_as_the_chain_says(
    tmp_path: Path, valkey_url: str, concurrency: int
) -> None:
    calls = tmp_path / "calls"
    links = {"slow": link("ajax.trouble", how="sleep", seconds=0.02, calls=str(calls))}
    config = config_of(tmp_path, links, concurrency=concurrency, storages=[])
    documents = {uuid: document_of(uuid) for uuid in (new_uuid() for _ in range(20))}
    async with served(tmp_path, valkey_url, config) as it:
        started = asyncio.get_running_loop().time()
        await it.post(*documents.values())
        await it.popped(20)
        took = asyncio.get_running_loop().time() - started
        if concurrency == 1:
            assert took >= 20 * 0.02
        assert sorted(calls.read_text().split()) == sorted(documents)
        for uuid in documents:
            assert Vcon((await it.vcon(uuid)).to_bytes()).tags == ["begun:x", "ended:x"]
