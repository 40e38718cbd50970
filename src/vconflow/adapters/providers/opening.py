"""Accounts by what components ask for; each is open once, for all who name it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import msgspec

from vconflow.adapters.providers.credentials import (
    Environment,
    Login,
    language_login,
    litellm_login,
    vendor_login,
)
from vconflow.adapters.providers.deepgram import DeepgramTranscriber
from vconflow.adapters.providers.hugging_face import HuggingFaceTranscriber
from vconflow.adapters.providers.line import Line
from vconflow.adapters.providers.openai_client import open_client
from vconflow.adapters.providers.openai_completer import OpenAiCompleter
from vconflow.adapters.providers.openai_embedder import OpenAiEmbedder
from vconflow.adapters.providers.openai_transcriber import OpenAiTranscriber
from vconflow.adapters.providers.prices import Prices
from vconflow.adapters.providers.requests import Caller, open_requests
from vconflow.adapters.providers.sharing import Sharing
from vconflow.adapters.providers.wordllama import LocalEmbedder, open_wordllama
from vconflow.errors import ConfigError, Problem
from vconflow.ports.completer import Completer
from vconflow.ports.embedder import Embedder
from vconflow.ports.providers import Account, Providers, TranscriberOptions
from vconflow.ports.transcriber import Transcriber

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from wordllama.inference import WordLlamaInference

__all__ = ["ProviderOptions", "open_providers"]

TRANSCRIPTION_SECONDS: Final = 600.0
"""How long a call with a recording may take where the account does not say."""
LOCAL: Final = "local:"
_MODELS: Final = {
    "openai": "gpt-4o-transcribe",
    "groq": "whisper-large-v3-turbo",
    "deepgram": "nova-3",
}


class ProviderOptions(msgspec.Struct, frozen=True):
    """`concurrency` and `timeout`, seconds of a call without a recording, count where an account
    does not say itself.
    """

    environment: Environment = Environment()
    concurrency: int = 50
    timeout: float = 120.0


class _Account(NamedTuple):
    """Accounts that name different limits are different ones."""

    login: Login
    limit: int


class _Chat(NamedTuple):
    client: "AsyncOpenAI"
    line: Line


class _Plain(NamedTuple):
    client: httpx.AsyncClient
    line: Line


class _Local(NamedTuple):
    model: "WordLlamaInference"
    line: Line


@asynccontextmanager
async def open_providers(
    options: ProviderOptions | None = None, prices: Prices | None = None
) -> AsyncIterator[Providers]:
    """Nothing is opened until a component asks; accounts close with the last one who uses them."""
    yield _Providers(options or ProviderOptions(), prices or Prices())


class _Providers:
    def __init__(self, options: ProviderOptions, prices: Prices) -> None:
        self._options = options
        self._prices = prices
        self._chats: Sharing[_Account, _Chat] = Sharing(self._open_chat)
        self._plains: Sharing[_Account, _Plain] = Sharing(self._open_plain)
        self._locals: Sharing[int, _Local] = Sharing(self._open_local)

    @asynccontextmanager
    async def completer(self, account: Account) -> AsyncIterator[Completer]:
        login = language_login(account, self._options.environment)
        async with self._chats.use(self._account(login, account)) as chat:
            yield OpenAiCompleter(chat.client, chat.line, self._timeout(account))

    @asynccontextmanager
    async def embedder(self, account: Account, model: str, dim: int) -> AsyncIterator[Embedder]:
        if model.startswith(LOCAL):
            if model != f"{LOCAL}wordllama":
                message = f"unknown local model {model!r}, there is {LOCAL}wordllama"
                raise ConfigError([Problem((), message, "unknown_model")])
            async with self._locals.use(dim) as local:
                yield LocalEmbedder(local.model, local.line, self._timeout(account), dim)
            return
        login = language_login(account, self._options.environment)
        async with self._chats.use(self._account(login, account)) as chat:
            yield OpenAiEmbedder(chat.client, chat.line, self._timeout(account), model, dim)

    @asynccontextmanager
    async def transcriber(
        self, vendor: str, options: TranscriberOptions
    ) -> AsyncIterator[Transcriber]:
        account = options.account
        timeout = account.timeout or TRANSCRIPTION_SECONDS
        login = self._transcription_login(vendor, account)
        if vendor in ("deepgram", "hugging_face") and login.provider == vendor:
            async with self._plains.use(self._account(login, account)) as plain:
                caller = Caller(plain.client, login, plain.line, timeout)
                yield _plain_transcriber(vendor, caller, options)
            return
        async with self._chats.use(self._account(login, account)) as chat:
            model = options.model or _MODELS[vendor]
            # The options of another vendor mean nothing to a proxy.
            fields = {} if vendor == "deepgram" else options.options
            yield OpenAiTranscriber(chat.client, chat.line, timeout, vendor, model, fields)

    def _transcription_login(self, vendor: str, account: Account) -> Login:
        match vendor:
            case "openai":
                return language_login(account, self._options.environment)
            case "deepgram" if proxy := litellm_login(account):
                # One that the options name stands for the vendor, as in the reference.
                return proxy
            case "deepgram" | "groq" | "hugging_face":
                return vendor_login(vendor, account, self._options.environment)
            case _:
                message = (
                    f"unknown vendor {vendor!r}, there are deepgram, openai, groq, hugging_face"
                )
                raise ConfigError([Problem((), message, "unknown_vendor")])

    def _account(self, login: Login, account: Account) -> _Account:
        if not login.base_url.startswith(("http://", "https://")):
            message = f"the base URL of {login.provider} must begin with https:// or http://"
            raise ConfigError([Problem((), message, "bad_url")])
        return _Account(login, account.concurrency or self._options.concurrency)

    def _timeout(self, account: Account) -> float:
        return account.timeout or self._options.timeout

    def _line(self, provider: str, limit: int) -> Line:
        return Line(provider, limit, self._prices)

    @asynccontextmanager
    async def _open_chat(self, account: _Account) -> AsyncIterator[_Chat]:
        async with open_client(account.login) as client:
            yield _Chat(client, self._line(account.login.provider, account.limit))

    @asynccontextmanager
    async def _open_plain(self, account: _Account) -> AsyncIterator[_Plain]:
        async with open_requests() as client:
            yield _Plain(client, self._line(account.login.provider, account.limit))

    @asynccontextmanager
    async def _open_local(self, dim: int) -> AsyncIterator[_Local]:
        async with open_wordllama(dim) as model:
            # More threads than one would only wait for each other.
            yield _Local(model, self._line("local", 1))


def _plain_transcriber(vendor: str, caller: Caller, options: TranscriberOptions) -> Transcriber:
    model, given = options.model, options.options
    if vendor == "deepgram":
        return DeepgramTranscriber(caller, model, given)
    endpoint = options.account.base_url is not None
    return HuggingFaceTranscriber(caller, model, given, endpoint=endpoint)
