"""Links of the reference's contract, one run at a time."""

import asyncio
import logging
import threading
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from module_support import Bench, bench, document_of, until

from vconflow.adapters.modules.call import GivenUp
from vconflow.adapters.modules.importing import import_module
from vconflow.errors import Permanent, Retryable
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome, Replace, Route
from vconflow.telemetry.metrics import REGISTRY
from vconflow.testing.contracts.link import DOCUMENT

trouble: Any = import_module("ajax.trouble")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as opened:
        yield opened
        trouble.RELEASE.set()
        await until(lambda: not opened.threads.stuck)
    trouble.RELEASE.clear()
    trouble.AFTERWARDS.clear()


def value_of(name: str, /, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"vconflow_{name}", labels) or 0.0


async def test_what_it_stores_is_the_change_of_this_run(at: Bench) -> None:
    vcon = Vcon(document_of())
    counted = value_of("module_events_total", name="ajax.tagged")
    assert await at.run("ajax.tagging", vcon) == CONTINUE
    assert vcon.tags == ["iron:theirs", "maiden:theirs"]
    assert at.desk.documents == {}
    await asyncio.sleep(0)
    assert value_of("module_events_total", name="ajax.tagged") == counted + 3
    assert value_of("module_value", name="ajax.gauge") == 7


async def test_options_go_over_the_defaults_and_are_its_own_every_time(at: Bench) -> None:
    for _ in range(2):
        vcon = Vcon(document_of())
        await at.run("ajax.tagging", vcon, tags=["one"])
        assert vcon.tags == ["one:theirs"]


async def test_the_spelling_of_external_packages_and_unicode(at: Bench) -> None:
    vcon = Vcon(document_of())
    assert await at.run("ajax.sample", vcon) == CONTINUE
    (attachment,) = vcon.attachments
    assert attachment["body"] == {"grüße": "日本 👋"}
    assert attachment["type"] == "sample_data"
    assert vcon.analysis[0] == {
        "type": "summary",
        "dialog": 0,
        "vendor": "ajax",
        "body": "kurz & gut",
        "encoding": "none",
        "vendor_schema": {"prompt": "?"},
    }
    assert vcon.parties[0]["name"] == "Zoë 👋"


async def test_what_it_leaves_alone_keeps_its_bytes(at: Bench) -> None:
    vcon = Vcon(DOCUMENT)
    await at.run("ajax.tagging", vcon, tags=["x"])
    before, after = Vcon(DOCUMENT), Vcon(vcon.to_bytes())
    for name in ("vcon", "uuid", "subject", "x-own", "parties", "dialog", "group", "meta"):
        assert after.raw(name) == before.raw(name), name
    assert after.tags == ["x:theirs"]
    assert after.attachments[0] == before.attachments[0]


async def test_numbers_of_items_that_it_leaves_alone_keep_their_text(at: Bench) -> None:
    attachment = b'{"type":"n","n":[1.10,1E5,123456789012345678901234567890]}'
    document = document_of().replace(b'"attachments": []', b'"attachments": [' + attachment + b"]")
    vcon = Vcon(document)
    await at.run("ajax.tagging", vcon)
    assert attachment in vcon.to_bytes()


async def test_equal_items_stay_two(at: Bench) -> None:
    twice = [{"type": "n", "body": "x"}, {"type": "n", "body": "x"}]
    vcon = Vcon(document_of(attachments=twice))
    await at.run("ajax.tagging", vcon, tags=["t"])
    vcon.edit("attachments")[0]["body"] = "changed by the next link"
    assert [item["body"] for item in vcon.attachments[:2]] == ["changed by the next link", "x"]


async def test_another_uuid_when_its_own_goes_on_a_list(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_uuid()

    def run(vcon_uuid: str, link_name: str, opts: Any) -> str:
        import_module("lib.queue").VconQueue().enqueue("a", vcon_uuid)
        return other

    monkeypatch.setattr("ajax.waiting.run", run)
    vcon = Vcon(document_of())
    assert await at.run("ajax.waiting", vcon) == Replace(other)
    assert at.desk.lists == [("a", vcon.uuid)]


async def test_a_coroutine_gets_a_loop_of_its_own(at: Bench) -> None:
    vcon = Vcon(document_of())
    assert await at.run("ajax.waiting", vcon) == CONTINUE
    assert vcon.tags == ["waited:yes"]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({}, CONTINUE),
        ({"only_if": {"section": "analysis", "type": "s", "includes": "good"}}, CONTINUE),
        ({"only_if": {"section": "analysis", "type": "s", "includes": "bad"}}, Halt),
        ({"only_if": {"section": "attachments", "purpose": "s", "includes": "x"}}, Halt),
        ({"only_if": {"section": "attachments", "type": "tags", "includes": "a:b"}}, CONTINUE),
        ({"only_if": {"section": "attachments", "type": "tags", "includes": "a"}}, Halt),
        ({"sampling_rate": 1e-12}, Halt),
    ],
)
async def test_falsy_halts(at: Bench, options: dict[str, Any], outcome: Any) -> None:
    analysis = [{"type": "s", "vendor": "v", "body": {"all": "good"}, "encoding": "json"}]
    vcon = Vcon(document_of(analysis=analysis))
    vcon.add_tag("a", "b")
    returned = await at.run("ajax.gate", vcon, **options)
    assert returned == outcome or isinstance(returned, outcome)


async def test_another_uuid_replaces(at: Bench) -> None:
    vcon = Vcon(document_of())
    outcome = await at.run("ajax.copying", vcon, also="elsewhere")
    assert isinstance(outcome, Replace)
    assert at.desk.lists == [("elsewhere", outcome.uuid)]
    copy = Vcon(at.desk.documents[outcome.uuid])
    assert (copy.subject, copy.parties) == (f"copy {vcon.uuid}", [{"tel": "+1555", "name": "Ä"}])
    assert vcon.get("meta") == {"copied": True}


@pytest.mark.parametrize("by_client", [True, False])
async def test_lists_and_expiry_come_when_the_chain_ends(at: Bench, *, by_client: bool) -> None:
    vcon, run = Vcon(document_of()), LinkRun("theirs", "main", "in", "1-0")
    options = {"lists": ["a", "b", "a"], "ttl": 60, "by_client": by_client}
    assert await at.run("ajax.routing", vcon, run, **options) == Route(("a", "b"))
    assert run.expire_seconds == 60
    halted = await at.run("ajax.routing", vcon, lists=["a"], halt=True)
    assert halted == Route(("a",), go_on=False)
    assert at.desk.lists == []


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("fail", ValueError, "no such luck: ä"),
        ("exit", Permanent, "SystemExit was raised: 3"),
        ("stop_iteration", Permanent, "StopIteration was raised"),
        ("nonsense", Permanent, r"no vCon: analysis\[0\].dialog: no such index"),
    ],
)
async def test_a_failure_changes_nothing(
    at: Bench, how: str, error: type[Exception], words: str
) -> None:
    document = document_of()
    vcon = Vcon(document)
    with pytest.raises(error, match=words):
        await at.run("ajax.trouble", vcon, how=how)
    assert vcon.to_bytes() == document
    # The thread goes on with the next.
    assert await at.run("ajax.trouble", vcon) == CONTINUE
    assert vcon.tags == ["begun:x", "ended:x"]


async def test_what_it_raises_tells_no_credential_of_its_options(at: Bench) -> None:
    login = {"password": "hidden word", "api_key": ["hidden/key"]}
    with pytest.raises(ValueError, match="401 for large") as caught:
        await at.run("ajax.trouble", Vcon(document_of()), how="tell", model="large", login=login)
    told = "".join(traceback.format_exception(caught.value))
    assert "https://h/?key=***" in told
    assert "was ***" in told
    assert "no ***" in told
    assert "hidden" not in told


async def hanging(at: Bench, vcon: Vcon) -> Outcome:
    async with asyncio.timeout(0.1):
        return await at.run("ajax.trouble", vcon, how="hang")


async def test_one_that_hangs_is_given_up_and_counts_no_more(at: Bench) -> None:
    document = document_of()
    vcon = Vcon(document)
    with pytest.raises(TimeoutError):
        await hanging(at, vcon)
    assert (at.threads.stuck, value_of("module_threads_stuck")) == (1, 1)
    trouble.RELEASE.set()
    await until(lambda: trouble.AFTERWARDS)
    assert isinstance(trouble.AFTERWARDS[0], GivenUp)
    assert vcon.to_bytes() == document
    await until(lambda: not at.threads.stuck)
    assert value_of("module_threads_stuck") == 0


async def test_others_go_on_beside_stuck_ones_up_to_the_limit(tmp_path: Path) -> None:
    async with bench(tmp_path, most=2, most_stuck=3) as at:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await hanging(at, Vcon(document_of()))
            if at.threads.stuck < 3:
                assert await at.run("ajax.tagging", Vcon(document_of())) == CONTINUE
        assert "3 threads of modules do not come back" in at.threads.trouble
        with pytest.raises(Retryable, match="do not come back"):
            await at.run("ajax.tagging", Vcon(document_of()))
        trouble.RELEASE.set()
        await until(lambda: not at.threads.stuck)
        assert await at.run("ajax.tagging", Vcon(document_of())) == CONTINUE
    trouble.RELEASE.clear()
    trouble.AFTERWARDS.clear()


async def test_so_many_at_a_time(tmp_path: Path) -> None:
    at_once = most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.02)
        with lock:
            at_once -= 1

    async with bench(tmp_path, most=3) as at:
        await asyncio.gather(*(at.threads.call(work, "work") for _ in range(30)))
    assert most == 3


async def test_threads_end_with_what_opened_them(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with bench(tmp_path) as at:
        await asyncio.gather(*(at.run("ajax.waiting", Vcon(document_of())) for _ in range(5)))
        mine = set(threading.enumerate()) - before
        assert mine
        assert all(thread.daemon for thread in mine)
    await until(lambda: not any(thread.is_alive() for thread in mine))


@pytest.mark.parametrize("returned", [True, "nonsense", 7])
async def test_what_is_no_uuid(
    at: Bench, returned: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajax.waiting.run", lambda *arguments: returned)
    with pytest.raises(Permanent, match="that is no uuid"):
        await at.run("ajax.waiting", Vcon(document_of()))


async def test_a_signed_vcon_is_read_and_never_changed(at: Bench, shared_data: Path) -> None:
    document = (shared_data / "ietf" / "ab_call_ext_rec_signed.vcon").read_bytes()
    vcon = Vcon(document)
    assert await at.run("ajax.gate", vcon) == CONTINUE
    assert vcon.to_bytes() == document


async def test_its_log_lines_are_of_this_process(
    at: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="ajax.tagging"):
        await at.run("ajax.tagging", Vcon(document_of()))
    assert [it.getMessage() for it in caplog.records if it.name == "ajax.tagging"] == [
        "theirs begins"
    ]
