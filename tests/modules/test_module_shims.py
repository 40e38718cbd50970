"""What modules get when they import `lib.vcon_redis` and the like."""

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from module_support import Bench, bench, document_of

from vconflow.adapters.modules.call import ModuleCall
from vconflow.adapters.modules.importing import import_module
from vconflow.errors import Permanent
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate

Vcon: Any = import_module("vcon").Vcon
VconRedis: Any = import_module("lib.vcon_redis").VconRedis
VconQueue: Any = import_module("lib.queue").VconQueue
redis_mgr: Any = import_module("redis_mgr")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as opened:
        yield opened


async def inside(at: Bench, call: ModuleCall, function: Callable[[], Any]) -> Any:
    """Run a function as a module's code is run."""
    return await at.threads.call(partial(call.run, lambda _options: function(), {}), "test")


def call_of(at: Bench, **options: Any) -> ModuleCall:
    document = document_of()
    uuid = validate(document).uuid
    options = {"may_change": True, **options}
    return ModuleCall(at.resources.modules, uuid, document, **options)


async def test_every_reading_is_a_copy(at: Bench) -> None:
    call, redis = call_of(at), VconRedis()

    def code() -> None:
        one, other = redis.get_vcon(call.uuid), redis.get_vcon_dict(call.uuid)
        one.add_tag("a", "b")
        other["subject"] = "changed"
        assert redis.get_vcon(call.uuid).to_dict() == json.loads(call.document or b"")
        redis.store_vcon_dict(other)
        assert redis.get_vcon(call.uuid.upper()).subject == "changed"

    await inside(at, call, code)
    assert call.is_changed


async def test_what_is_not_there(at: Bench) -> None:
    call = call_of(at)

    def code() -> None:
        assert VconRedis().get_vcon(new_uuid()) is None
        assert VconRedis().get_vcon_dict("no uuid") is None
        assert VconRedis().get_ttl(new_uuid()) == -2
        assert VconRedis().set_expiry(new_uuid(), 5) is False
        assert VconQueue().enqueue("a", new_uuid()) == 0

    await inside(at, call, code)


async def test_expiry(at: Bench) -> None:
    call, redis = call_of(at), VconRedis()

    def code() -> None:
        assert redis.get_ttl(call.uuid) == -1
        assert redis.remove_expiry(call.uuid) is False
        assert redis.set_expiry(call.uuid, 7)
        assert redis.get_ttl(call.uuid) == 7
        assert redis.remove_expiry(call.uuid) is True
        redis.store_vcon(redis.get_vcon(call.uuid), ttl=redis.DEFAULT_TTL)
        assert redis.get_ttl(call.uuid) == 3600
        assert VconQueue().set_vcon_ttl(call.uuid, 60)

    await inside(at, call, code)
    assert call.expire_seconds == 60


async def test_other_vcons_are_stored_in_the_server_at_once(at: Bench) -> None:
    call, new = call_of(at), Vcon.build_new()

    def code() -> None:
        VconRedis().store_vcon(new)
        assert VconRedis().get_vcon(new.uuid).to_dict() == new.to_dict()
        assert VconQueue().enqueue_front("elsewhere", new.uuid) == 1
        with pytest.raises(Permanent, match="uuid"):
            VconRedis().store_vcon_dict({"uuid": "none"})
        with pytest.raises(TypeError):
            VconRedis().store_vcon_dict({"uuid": new.uuid, "x": object()})

    await inside(at, call, code)
    assert at.desk.documents.keys() == {new.uuid}
    assert at.desk.lists == [("elsewhere", new.uuid)]
    assert not call.is_changed


async def test_the_client_of_redis_mgr(at: Bench) -> None:
    call = call_of(at)
    key = f"vcon:{call.uuid}"

    def code() -> None:
        client = redis_mgr.get_client()
        found = client.json().get(key, "$")
        client.json().set(key, "$", found | {"subject": "new"})
        assert redis_mgr.get_key(key)["subject"] == "new"
        redis_mgr.set_key(key, found | {"subject": "newer"})
        assert (client.exists(key), client.exists(f"vcon:{new_uuid()}")) == (1, 0)
        assert client.lpush("a", call.uuid) == 1
        assert client.expire(key, 9)

    await inside(at, call, code)
    assert json.loads(call.document or b"")["subject"] == "newer"
    assert (call.lists, call.expire_seconds) == (["a"], 9)


async def test_lists_are_not_read_by_modules(at: Bench) -> None:
    call = call_of(at)
    queue = VconQueue(client="any")
    for refused in (
        lambda: queue.dequeue(["in"]),
        lambda: queue.queue_length("in"),
        lambda: queue.enqueue_dlq("in", call.uuid),
    ):
        with pytest.raises(RuntimeError):
            await inside(at, call, refused)


async def test_a_storage_changes_nothing_of_its_vcon(at: Bench) -> None:
    call = call_of(at, may_change=False)

    def code() -> None:
        assert VconRedis().set_expiry(call.uuid, 5) is False
        VconRedis().store_vcon(VconRedis().get_vcon(call.uuid))

    with pytest.raises(RuntimeError, match="cannot change the vCon that it stores"):
        await inside(at, call, code)
    assert not call.is_changed


def test_the_object() -> None:
    vcon = Vcon.build_new()
    validate(vcon.to_json().encode())
    vcon.add_party({"tel": "+1", "meta": {"role": "agent"}})
    vcon.add_dialog({"type": "text", "body": "hi", "start": vcon.created_at, "meta": {"id": 3}})
    vcon.add_analysis(type="s", dialog=0, vendor="v", body={"a": 1}, extra={"product": "p"})
    vcon.add_attachment(type="note", body='{"b": 2}', encoding="json")
    vcon.add_tag("x", "1:2")
    vcon.add_tag("x", "1:2")
    assert vcon.get_tag("x") == "1:2"
    assert vcon.get_tag("y") is None
    assert Vcon.decoded_body(vcon.tags) == ["x:1:2"]
    assert vcon.find_party_index("meta.role", "agent") == 0
    assert vcon.find_party_index("meta.none", "agent") is None
    assert vcon.find_dialog("meta.id", 3)["body"] == "hi"
    assert vcon.find_analysis_by_type("s")["product"] == "p"
    assert vcon.find_analysis_by_type("t") is None
    note = vcon.find_attachment_by_type("note")
    assert Vcon.with_decoded_body(note)["body"] == {"b": 2}
    assert note["body"] == '{"b": 2}'
    assert Vcon.with_decoded_body(None) is None
    again = Vcon.build_from_json(vcon.dumps())
    assert (again.to_dict(), again.hash) == (vcon.to_dict(), vcon.hash)
    assert (again.vcon, again.subject, again.group) == ("0.0.1", None, None)
    validate(again.to_json().encode())
    with pytest.raises(AttributeError, match="no_such"):
        _ = again.no_such


def test_lists_of_the_object_can_be_replaced() -> None:
    vcon = Vcon({"uuid": new_uuid()})
    for name in ("parties", "dialog", "analysis", "attachments"):
        assert getattr(vcon, name) == []
        setattr(vcon, name, [{"of": name}])
        assert vcon.vcon_dict[name] == [{"of": name}]


@pytest.mark.parametrize(("body", "encoding"), [("{", "json"), ("x", "base64")])
def test_bodies_that_are_not_what_they_say(body: str, encoding: str) -> None:
    with pytest.raises(ValueError, match=r"encoding|Expecting"):
        Vcon.build_new().add_attachment(type="a", body=body, encoding=encoding)


def test_what_has_nothing_to_do() -> None:
    import_module("lib.error_tracking").init_error_tracker()
    import_module("lib.metrics").register_observable_gauge("x", list)
