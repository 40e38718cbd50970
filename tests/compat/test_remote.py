"""What a follower makes of the answers of another server, over real sockets."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

import pytest
from reference_conserver import TOKEN, Answer, reference_conserver

from vconflow.adapters import follow as adapter
from vconflow.adapters.follow import open_remotes
from vconflow.errors import Permanent, Retryable
from vconflow.ports.component import Secret
from vconflow.ports.follow import Follow, Remote
from vconflow.testing.servers import free_port

UUID = "00000000-0000-4000-8000-00000000000a"
DOCUMENT = b'{"uuid":  "' + UUID.encode() + b'", "odd" : 1.0}\n'
MOST = 1000


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[str], Remote]]:
    async with open_remotes(header="x-conserver-api-token", most_bytes=MOST) as connect:
        yield lambda url: connect(
            Follow(name="up", url=url, egress_list="out/1 ä", into="in", auth_token=Secret(TOKEN))
        )


@pytest.mark.parametrize(
    ("prefix", "given"), [("", ""), ("", "/"), ("", "/api"), ("/api", "/api/"), ("/api", "")]
)
async def test_the_api_is_found_with_and_without_its_prefix(
    connect: Callable[[str], Remote], prefix: str, given: str
) -> None:
    with reference_conserver(prefix) as conserver:
        conserver.offer("out/1 ä", {UUID: DOCUMENT})
        remote = connect(conserver.url.removesuffix("/api") + given)
        # The first to be asked for may be a vCon: of an id pulled before a restart.
        assert await remote.document(UUID) == DOCUMENT
        assert await remote.document(UUID.replace("a", "b")) is None
        handover = await remote.pull(10)
        assert [item.uuid for item in handover.handed] == [UUID]
        assert handover.receipts == ()
        assert (await remote.pull(10)).handed == ()
        # That it leases nothing is found out once.
        assert conserver.asked("/lease") <= 2


async def test_entries_have_names_of_their_own_in_their_order(
    connect: Callable[[str], Remote],
) -> None:
    with reference_conserver() as conserver:
        conserver.lists["out/1 ä"] = deque([UUID, UUID, 7, None, "x" * 999])
        handed = (await connect(conserver.url).pull(10)).handed
    assert [item.uuid for item in handed] == [UUID, UUID, "(int)", "(NoneType)", "x" * 100]
    names = [item.entry for item in handed]
    assert sorted(set(names)) == names


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(403, b'{"detail": "Invalid API Key"}'),
        Answer(302, headers={"location": "http://127.0.0.1:1/"}),
        Answer(404, b"default backend - 404"),
        Answer(404, b'{"detail": "Not Found"}'),
        Answer(200, b"<html>"),
        Answer(200, b'{"detail": "hm"}'),
        Answer(200, b'"' + UUID.encode() + b'"'),
        Answer(200, b'["\xff"]'),
        Answer(200, b"", {"content-encoding": "gzip"}),
    ],
    ids=lambda answer: f"{answer.status}{answer.body[:6]!r}",
)
async def test_a_pull_that_makes_no_sense_is_tried_again(
    connect: Callable[[str], Remote], answer: Answer
) -> None:
    with reference_conserver() as conserver:
        conserver.decide = lambda path: answer
        with pytest.raises(Retryable) as caught:
            await connect(conserver.url + "/secret-path").pull(1)
    assert "secret" not in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(404, b'{"detail": "vCon not found"}'), None),
        (Answer(410, b'{"detail": "gone"}'), None),
        (Answer(200, b"null"), None),
        (Answer(404, b"default backend - 404"), Retryable),
        (Answer(403, b'{"detail": "Invalid API Key"}'), Retryable),
        (Answer(401), Retryable),
        (Answer(500), Retryable),
        (Answer(503), Retryable),
        (Answer(301, headers={"location": "http://127.0.0.1:1/"}), Retryable),
        (Answer(422, b'{"detail": []}'), Permanent),
        (Answer(200, b"[" + b" " * MOST + b"]"), Permanent),
        (Answer(200, b"x" * MOST), b"x" * MOST),
        (Answer(200, b"{}", {"content-encoding": "gzip"}), Retryable),
    ],
    ids=lambda it: f"{it.status}{it.body[:6]!r}" if isinstance(it, Answer) else "",
)
async def test_what_a_document_is_answered_with(
    connect: Callable[[str], Remote], answer: Answer, outcome: bytes | type[Exception] | None
) -> None:
    with reference_conserver() as conserver:
        conserver.decide = lambda path: answer
        remote = connect(conserver.url)
        if isinstance(outcome, type):
            with pytest.raises(outcome):
                await remote.document(UUID)
        else:
            assert await remote.document(UUID) == outcome


async def test_a_server_that_comes_back_between_two_questions_has_its_vcons(
    connect: Callable[[str], Remote],
) -> None:
    """Its proxy says 404 for it, then it says 404 itself: of the path that is not its own."""
    with reference_conserver() as conserver:
        conserver.offer("out/1 ä", {UUID: DOCUMENT})
        answers = [Answer(404, b"default backend - 404")]
        conserver.decide = lambda path: answers.pop() if answers else None
        assert await connect(conserver.url).document(UUID) == DOCUMENT
        assert conserver.requests == [f"/vcon/{UUID}", f"/api/vcon/{UUID}", f"/vcon/{UUID}"]


async def test_a_vcon_that_is_gone_behind_another_page_of_404(
    connect: Callable[[str], Remote],
) -> None:
    with reference_conserver("/api") as conserver:
        page = Answer(404, b"<html>")
        conserver.decide = lambda path: None if path.startswith("/api/") else page
        assert await connect(conserver.url.removesuffix("/api")).document(UUID) is None
        assert len(conserver.requests) == 3


async def test_retry_after_is_passed_on(connect: Callable[[str], Remote]) -> None:
    with reference_conserver() as conserver:
        conserver.decide = lambda path: Answer(429, headers={"retry-after": "77"})
        for asking in (connect(conserver.url).pull(1), connect(conserver.url).document(UUID)):
            with pytest.raises(Retryable) as caught:
                await asking
            assert caught.value.retry_after == 77


async def test_nobody_there_and_no_answer(
    connect: Callable[[str], Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Retryable, match="ConnectError"):
        await connect(f"http://127.0.0.1:{free_port()}").pull(1)
    monkeypatch.setattr(adapter, "_ANSWER_SECONDS", 0.1)
    with reference_conserver() as conserver:
        conserver.decide = lambda path: Answer(200, b"[]", delay=1)
        with pytest.raises(Retryable, match=r"no answer in 0\.1 s"):
            await connect(conserver.url).pull(1)


async def test_entries_of_other_lists_and_servers_have_other_names() -> None:
    """Two lists that one chain fills at once have entries of the same ids."""
    leased = Answer(200, b'{"entries": [{"id": "1-0.2", "uuid": "u"}]}')
    with reference_conserver("/api") as one, reference_conserver() as two:
        one.decide = two.decide = lambda path: leased if "lease" in path else None
        sources = [(one.url, "a"), (one.url, "b"), (two.url, "a"), (one.url[:-4] + "/", "a")]
        names = []
        async with open_remotes(header="x-key", most_bytes=MOST) as connect:
            for url, egress_list in sources:
                follow = Follow(name="up", url=url, egress_list=egress_list, into="in")
                [handed] = (await connect(follow).pull(1)).handed
                names.append(handed.entry)
    assert len(set(names)) == 3
    assert names[0] == names[3], "another way to write the same URL"


async def test_one_that_learns_to_lease_is_asked_to(
    connect: Callable[[str], Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    with reference_conserver() as conserver:
        remote = connect(conserver.url)
        await remote.pull(1)
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 601)
        conserver.decide = lambda path: (
            Answer(200, b'{"entries": [{"id": "1-0.2", "uuid": "u"}]}') if "lease" in path else None
        )
        handover = await asyncio.wait_for(remote.pull(1), 30)
    [handed] = handover.handed
    assert (handed.entry.partition("@")[0], handed.uuid) == ("1-0", "u")
    assert handover.receipts == ("1-0.2",)
