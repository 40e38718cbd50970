"""Chat completions: the official client against a server that speaks the wire format."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from providers_support import (
    KEY,
    PASSING,
    SENTENCE,
    STAYING,
    WRONG,
    account,
    counted,
    passing,
    staying,
)

from vconflow.errors import Permanent, Retryable
from vconflow.ports.completer import Completer, InputTooLong, Message
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account, Providers
from vconflow.testing.providers import OpenAiServer, Reply
from vconflow.testing.providers.openai_server import failure, said

PROMPT = [Message("system", "Be brief."), Message("user", f"{SENTENCE} It rained. I went home.")]


def own(server: OpenAiServer, key: str) -> Account:
    return account(server.base_url, key)


def azure(server: OpenAiServer, key: str) -> Account:
    return Account(azure_endpoint=server.url, azure_api_key=Secret(key))


def litellm(server: OpenAiServer, key: str) -> Account:
    return Account(litellm_proxy_url=f"{server.url}/", litellm_master_key=Secret(key))


KINDS = [
    pytest.param(own, "openai", "/v1/chat/completions", id="openai"),
    pytest.param(azure, "azure", "/openai/deployments/gpt-4o/chat/completions", id="azure"),
    pytest.param(litellm, "litellm", "/chat/completions", id="litellm"),
]
MakeAccount = Callable[[OpenAiServer, str], Account]


@asynccontextmanager
async def completer(
    providers: Providers, server: OpenAiServer, key: str = KEY, timeout: float | None = None
) -> AsyncIterator[Completer]:
    async with providers.completer(account(server.base_url, key, timeout=timeout)) as opened:
        yield opened


async def ask(completer: Completer, model: str = "gpt-4o") -> str:
    return (await completer.complete(PROMPT, model=model)).text


@pytest.mark.parametrize(("make", "vendor", "path"), KINDS)
async def test_it_answers(
    providers: Providers, openai: OpenAiServer, make: MakeAccount, vendor: str, path: str
) -> None:
    async with providers.completer(make(openai, KEY)) as completer:
        assert completer.vendor == vendor
        answer = await completer.complete(
            PROMPT, model="gpt-4o", temperature=0.0, response_format={"type": "json_object"}
        )
    assert (answer.text, answer.model) == ("It rained.", "gpt-4o")
    (call,) = openai.calls
    assert (call.kind, call.path, call.model) == ("chat", path, "gpt-4o")
    assert call.options["messages"][0] == {"role": "system", "content": "Be brief."}
    assert call.options["temperature"] == 0.0
    assert call.options["response_format"] == {"type": "json_object"}
    used = answer.usage
    assert (used.provider, used.model, used.output_tokens) == (vendor, "gpt-4o", 3)
    assert used.cost == pytest.approx((used.input_tokens * 2.5 + 3 * 10) / 1e6)


async def test_what_is_not_said_is_not_sent(providers: Providers, openai: OpenAiServer) -> None:
    async with completer(providers, openai) as opened:
        await ask(opened)
    assert set(openai.calls[0].options) == {"model", "messages"}


@pytest.mark.parametrize(("make", "vendor", "path"), KINDS)
async def test_a_refused_key(
    providers: Providers, openai: OpenAiServer, make: MakeAccount, vendor: str, path: str
) -> None:
    async with providers.completer(make(openai, WRONG)) as completer:
        with pytest.raises(
            Permanent, match=rf"^{vendor}: status 401 \(invalid_api_key\)"
        ) as caught:
            await ask(completer)
    staying(caught)


@pytest.mark.parametrize(("reply", "wait"), PASSING)
async def test_what_passes(
    providers: Providers, openai: OpenAiServer, reply: Reply, wait: float | None
) -> None:
    openai.answer(reply)
    async with completer(providers, openai) as opened:
        with pytest.raises(Retryable) as caught:
            await ask(opened)
        passing(caught, wait)
        # The client has not repeated the call: the engine does.
        assert len(openai.calls) == 1
        assert await ask(opened) == "It rained."


@pytest.mark.parametrize("reply", STAYING)
async def test_what_stays(providers: Providers, openai: OpenAiServer, reply: Reply) -> None:
    openai.answer(reply)
    async with completer(providers, openai) as opened:
        with pytest.raises(Permanent, match=f"status {reply.status}$") as caught:
            await ask(opened)
    staying(caught)
    assert len(openai.calls) == 1


async def test_a_wait_in_milliseconds(providers: Providers, openai: OpenAiServer) -> None:
    openai.answer(failure(429, "rate_limit_exceeded", headers={"retry-after-ms": "1500"}))
    async with completer(providers, openai) as opened:
        with pytest.raises(Retryable, match="rate_limit_exceeded") as caught:
            await ask(opened)
    assert caught.value.retry_after == 1.5


async def test_a_model_that_is_not_there(providers: Providers, openai: OpenAiServer) -> None:
    openai.models = {"gpt-4o"}
    async with completer(providers, openai) as opened:
        with pytest.raises(Permanent, match=r"status 404 \(model_not_found\)"):
            await ask(opened, "gpt-5")


async def test_too_long_a_prompt(providers: Providers, openai: OpenAiServer) -> None:
    openai.context_tokens = 5
    async with completer(providers, openai) as opened:
        with pytest.raises(InputTooLong, match=r"status 400 \(context_length_exceeded\)"):
            await ask(opened)


async def test_more_tokens_than_the_account_has_in_a_minute(
    providers: Providers, openai: OpenAiServer
) -> None:
    """A rate limit by its status, which no waiting ends."""
    said = (
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, "
        "Requested 30601. The input or output tokens must be reduced in order to run successfully."
    )
    openai.answer(failure(429, "rate_limit_exceeded", said))
    async with completer(providers, openai) as opened:
        with pytest.raises(InputTooLong, match=r"status 429 \(rate_limit_exceeded\)$"):
            await ask(opened)


UNUSABLE = [
    pytest.param(said("The del", finish_reason="length"), "cut short", id="length"),
    pytest.param(said("", finish_reason="content_filter"), "withheld", id="filter"),
    pytest.param(
        Reply(headers={"Content-Type": "application/json"}, body=b"{}"), "choice", id="{}"
    ),
    pytest.param(
        Reply(
            headers={"Content-Type": "application/json"},
            body=b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
        ),
        "without a text",
        id="null",
    ),
]


@pytest.mark.parametrize(("reply", "why"), UNUSABLE)
async def test_an_answer_that_is_of_no_use(
    providers: Providers, openai: OpenAiServer, reply: Reply, why: str
) -> None:
    openai.answer(reply)
    async with completer(providers, openai) as opened:
        with pytest.raises(Permanent, match=why) as caught:
            await ask(opened)
    staying(caught)


async def test_what_was_cut_short_is_billed(providers: Providers, openai: OpenAiServer) -> None:
    before = await counted("provider_tokens_total", model="cut-short", direction="output")
    openai.answer(said("Four tokens at most", finish_reason="length"))
    async with completer(providers, openai) as opened:
        with pytest.raises(Permanent):
            await ask(opened, "cut-short")
    after = await counted("provider_tokens_total", model="cut-short", direction="output")
    assert after - before == 5


async def test_a_silent_server(providers: Providers, openai: OpenAiServer) -> None:
    openai.answer(Reply(fault="hang"))
    async with completer(providers, openai, timeout=0.2) as opened:
        with pytest.raises(Retryable, match=r"openai: no answer in 0\.2 s"):
            await ask(opened)
        openai.release()
        assert await ask(opened) == "It rained."


async def test_a_server_that_is_not_there(providers: Providers) -> None:
    async with providers.completer(account("http://127.0.0.1:9/v1")) as opened:
        with pytest.raises(Retryable, match="openai: ConnectError"):
            await ask(opened)


async def test_calls_are_counted(providers: Providers, openai: OpenAiServer) -> None:
    openai.answer(*[Reply(500)] * 2, Reply(400))
    async with completer(providers, openai) as opened:
        for _ in range(2):
            with pytest.raises(Retryable):
                await ask(opened, "counted")
        with pytest.raises(Permanent):
            await ask(opened, "counted")
        await ask(opened, "counted")
    outcomes = {"completed": 1, "retryable": 2, "permanent": 1}
    for outcome, times in outcomes.items():
        assert await counted("provider_calls_total", model="counted", outcome=outcome) == times
    assert await counted("provider_seconds_count", model="counted", provider="openai") == 4
    assert await counted("provider_tokens_total", model="counted", direction="input") > 0
    # No price is known, so there is no cost either.
    assert await counted("provider_cost_dollars_total", model="counted") == 0
