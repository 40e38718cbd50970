"""Accounts: whose credentials count, who shares a client, and how many calls go at once."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from providers_support import KEY, account

from vconflow.adapters.providers import Environment, ProviderOptions, open_providers
from vconflow.adapters.providers.credentials import Login, language_login, vendor_login
from vconflow.adapters.providers.sharing import Sharing
from vconflow.app.options import provider_options
from vconflow.errors import ConfigError, Permanent, Retryable
from vconflow.ports.completer import Completer, Message
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account, Providers, TranscriberOptions
from vconflow.settings import Settings
from vconflow.testing.contracts import resources_for
from vconflow.testing.providers import OpenAiServer, Reply, openai_server

PROMPT = [Message("user", "One. Two.")]
PUBLIC = "https://api.openai.com/v1"

OPENAI = {"OPENAI_API_KEY": "env-openai"}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://env.azure/", "AZURE_OPENAI_API_KEY": "env-azure"}
LITELLM = {"LITELLM_PROXY_URL": "http://env.litellm:4000/", "LITELLM_MASTER_KEY": "env-litellm"}
ELSEWHERE = {"OPENAI_BASE_URL": "https://env.example/v1"}

OWN_OPENAI = Account(api_key=Secret("own"), organization="org")
OWN_AZURE = Account(azure_endpoint="https://own.azure", azure_api_key=Secret("own"))
OWN_LITELLM = Account(litellm_proxy_url="http://own", litellm_master_key=Secret("own"))
OWN_SERVER = Account(api_key=Secret("own"), base_url="http://own.example/v1/")
OWN_ALL = Account(
    api_key=Secret("own"),
    azure_endpoint="https://own.azure",
    azure_api_key=Secret("own"),
    litellm_proxy_url="http://own",
    litellm_master_key=Secret("own"),
)


def environment(variables: dict[str, str]) -> Environment:
    return provider_options(Settings.load(variables)).environment


@pytest.mark.parametrize(
    ("variables", "given", "provider", "url", "key"),
    [
        (OPENAI | AZURE | LITELLM, OWN_ALL, "litellm", "http://env.litellm:4000", "env-litellm"),
        (OPENAI | AZURE, OWN_ALL, "azure", "https://env.azure", "env-azure"),
        (OPENAI, OWN_ALL, "openai", PUBLIC, "env-openai"),
        (OPENAI | ELSEWHERE, OWN_OPENAI, "openai", "https://env.example/v1", "env-openai"),
        ({}, OWN_ALL, "litellm", "http://own", "own"),
        ({}, OWN_AZURE, "azure", "https://own.azure", "own"),
        ({}, OWN_OPENAI, "openai", PUBLIC, "own"),
        (ELSEWHERE, OWN_OPENAI, "openai", "https://env.example/v1", "own"),
        # A server that only options name never sees a key of the environment.
        (OPENAI | AZURE | LITELLM, OWN_SERVER, "openai", "http://own.example/v1", "own"),
        # A half account is none.
        ({"LITELLM_PROXY_URL": "http://env"} | OPENAI, OWN_LITELLM, "openai", PUBLIC, "env-openai"),
    ],
)
def test_whose_credentials_count(
    variables: dict[str, str], given: Account, provider: str, url: str, key: str
) -> None:
    login = language_login(given, environment(variables))
    assert (login.provider, login.base_url, login.key.reveal()) == (provider, url, key)


def test_organization_and_version() -> None:
    login = language_login(OWN_OPENAI, environment(OPENAI))
    assert (login.organization, login.api_version) == ("org", None)
    assert language_login(OWN_AZURE, Environment()).api_version == "2024-10-21"
    versioned = environment(AZURE | {"AZURE_OPENAI_API_VERSION": "2025-01-01"})
    assert language_login(Account(), versioned).api_version == "2025-01-01"


@pytest.mark.parametrize(
    ("vendor", "variable"),
    [
        ("deepgram", "DEEPGRAM_KEY"),
        ("groq", "GROQ_API_KEY"),
        ("hugging_face", "HUGGINGFACE_API_KEY"),
    ],
)
def test_keys_of_vendors(vendor: str, variable: str) -> None:
    assert vendor_login(vendor, OWN_OPENAI, environment({variable: "env"})).key.reveal() == "env"
    login = vendor_login(vendor, OWN_OPENAI, Environment())
    assert login.key.reveal() == "own"
    assert login.base_url.startswith("https://")
    own = vendor_login(vendor, OWN_SERVER, environment({variable: "env"}))
    assert (own.base_url, own.key.reveal()) == ("http://own.example/v1", "own")
    for nothing in (Account(), Account(api_key=Secret(" "), base_url="")):
        with pytest.raises(ConfigError, match=f"no account: set {variable}"):
            vendor_login(vendor, nothing, Environment())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Account(), "no account: set LITELLM_PROXY_URL"),
        (Account(api_key=Secret("")), "no account: set LITELLM_PROXY_URL"),
        (Account(base_url="http://own"), "base_url needs a key"),
        (Account(base_url="http://own", api_key=Secret("")), "base_url needs a key"),
        (Account(base_url="own:8000", api_key=Secret("own-key")), "must begin with https://"),
    ],
)
async def test_an_account_that_cannot_be(providers: Providers, given: Account, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        async with providers.completer(given):
            pass
    assert "own-key" not in str(caught.value)


async def test_an_unknown_vendor(providers: Providers) -> None:
    with pytest.raises(ConfigError, match="unknown vendor 'whisperer'"):
        async with providers.transcriber("whisperer", TranscriberOptions()):
            pass


async def test_the_environment_opens_an_account(openai: OpenAiServer) -> None:
    settings = Settings.load({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.base_url})
    async with (
        open_providers(provider_options(settings)) as providers,
        providers.completer(Account()) as completer,
    ):
        assert (await completer.complete(PROMPT, model="gpt-4o")).text == "One."


AMBIENT = {
    "OPENAI_ORG_ID": "env-org",
    "OPENAI_PROJECT_ID": "env-project",
    "OPENAI_CUSTOM_HEADERS": "x-gateway: env-gateway\nauthorization: Bearer env-token",
}
"""What the official client looks for by itself."""


@pytest.fixture
def ambient(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in AMBIENT.items():
        monkeypatch.setenv(name, value)
    return AMBIENT


async def headers_of_a_call(server: OpenAiServer, environment: dict[str, str], own: Account) -> Any:
    settings = Settings.load(environment)
    async with (
        open_providers(provider_options(settings)) as providers,
        providers.completer(own) as completer,
    ):
        await completer.complete(PROMPT, model="gpt-4o")
    return server.calls[-1].headers


@pytest.mark.parametrize("more", [{}, {"organization": "own-org", "project": "own-project"}])
async def test_a_server_of_the_options_gets_nothing_of_the_environment(
    openai: OpenAiServer, ambient: dict[str, str], more: dict[str, str]
) -> None:
    sent = await headers_of_a_call(openai, OPENAI | ambient, account(openai.base_url, **more))
    assert sent.get("openai-organization") == more.get("organization")
    assert sent.get("openai-project") == more.get("project")
    assert "env-" not in str(sent)


async def test_organization_and_project_of_the_environment(
    openai: OpenAiServer, ambient: dict[str, str]
) -> None:
    ours = ambient | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.base_url}
    sent = await headers_of_a_call(openai, ours, Account())
    assert (sent["openai-organization"], sent["openai-project"]) == ("env-org", "env-project")
    # They belong to the key: one of the options has its own.
    del ours["OPENAI_API_KEY"]
    sent = await headers_of_a_call(openai, ours, Account(api_key=Secret(KEY)))
    assert not {"openai-organization", "openai-project", "x-gateway"} & sent.keys()


async def many(completer: Completer, times: int) -> None:
    await asyncio.gather(*(completer.complete(PROMPT, model="gpt-4o") for _ in range(times)))


async def test_no_more_calls_at_once_than_allowed() -> None:
    """A thousand calls of two who name the same account."""
    with openai_server(complete=lambda messages: "Yes.") as server:
        server.together = 8
        given = account(server.base_url, concurrency=8)
        async with (
            open_providers() as providers,
            providers.completer(given) as one,
            providers.completer(given) as two,
        ):
            await asyncio.gather(many(one, 500), many(two, 500))
        assert len(server.calls) == 1000
        assert server.most_at_once == 8


async def test_the_limit_of_accounts_that_name_none() -> None:
    with openai_server(complete=lambda messages: "Yes.") as server:
        server.seconds, server.together = 0.01, 3
        async with (
            open_providers(ProviderOptions(concurrency=3)) as providers,
            providers.completer(account(server.base_url)) as completer,
        ):
            await many(completer, 30)
        assert server.most_at_once == 3


FAULTS = [
    pytest.param(Reply(500), Retryable, id="fails"),
    pytest.param(Reply(400), Permanent, id="refused"),
    pytest.param(Reply(fault="reset"), Retryable, id="cut"),
]


@pytest.mark.parametrize(("reply", "error"), FAULTS)
async def test_a_call_that_fails_frees_its_slot(
    providers: Providers, openai: OpenAiServer, reply: Reply, error: type[Exception]
) -> None:
    openai.answer(*[reply] * 3)
    given = account(openai.base_url, concurrency=1)
    async with providers.completer(given) as completer:
        for _ in range(3):
            with pytest.raises(error):
                await completer.complete(PROMPT, model="gpt-4o")
        assert (await completer.complete(PROMPT, model="gpt-4o")).text == "One."


async def test_a_cancelled_call_frees_its_slot(providers: Providers, openai: OpenAiServer) -> None:
    openai.answer(Reply(fault="hang"))
    given = account(openai.base_url, concurrency=1)
    async with providers.completer(given) as completer:
        hanging = asyncio.create_task(completer.complete(PROMPT, model="gpt-4o"))
        await asyncio.to_thread(openai.wait_for, 1)
        waiting = asyncio.create_task(completer.complete(PROMPT, model="gpt-4o"))
        also_waiting = asyncio.create_task(completer.complete(PROMPT, model="gpt-4o"))
        await asyncio.sleep(0)
        for task in (waiting, hanging):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await also_waiting).text == "One."
        assert len(openai.calls) == 2


async def test_those_who_name_the_same_account_share_its_client(openai: OpenAiServer) -> None:
    async with open_providers() as providers:
        opened: Any = providers
        given = account(openai.base_url)
        async with providers.completer(given) as one:
            async with (
                providers.completer(given) as two,
                providers.embedder(given, "text-embedding-3-small", 1536) as three,
                providers.completer(msgspec.structs.replace(given, concurrency=2)) as other,
            ):
                clients: list[Any] = [one, two, three, other]
                assert len({id(it._client) for it in clients}) == 2
                assert len(opened._chats) == 2
            assert len(opened._chats) == 1
            # Those who left took nothing away from those who stay.
            assert (await one.complete(PROMPT, model="gpt-4o")).text == "One."
        assert clients[0]._client.is_closed()
        assert len(opened._chats) == 0


async def test_what_cannot_be_opened_leaves_nothing() -> None:
    tries: list[int] = []

    @asynccontextmanager
    async def opening(key: int) -> AsyncIterator[int]:
        tries.append(key)
        if len(tries) == 1:
            raise OSError("not now")
        yield key

    sharing: Sharing[int, int] = Sharing(opening)
    with pytest.raises(OSError, match="not now"):
        async with sharing.use(1):
            pass
    assert len(sharing) == 0
    async with sharing.use(1) as value, sharing.use(1) as same:
        assert (value, same, tries) == (1, 1, [1, 1])


def test_credentials_are_not_shown() -> None:
    login = Login("openai", PUBLIC, Secret("geheim"))
    assert "geheim" not in repr(login) + str(login)


def test_no_client_is_imported_before_an_account_is_opened() -> None:
    code = (
        "import sys, vconflow.app\n"
        "heavy = {'openai', 'httpx2', 'wordllama', 'numpy', 'faster_whisper', 'deepgram'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tests_have_no_account_unless_they_bring_one(tmp_path: Path) -> None:
    none = resources_for(tmp_path).providers
    for asking in (
        lambda: none.completer(Account()),
        lambda: none.transcriber("deepgram", TranscriberOptions()),
        lambda: none.embedder(Account(), "local:wordllama", 256),
    ):
        with pytest.raises(ConfigError, match="no providers: give resources_for"):
            asking()
