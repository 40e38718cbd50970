"""Which account a component means, and with which credentials.

An account comes whole from one place, the environment or the options: a key of the environment is
never sent to a server that only options name, as these may have come over HTTP.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from vconflow.errors import ConfigError, Problem
from vconflow.ports.component import Secret
from vconflow.ports.providers import Account

__all__ = ["Environment", "Login", "language_login", "litellm_login", "vendor_login"]

OPENAI_URL: Final = "https://api.openai.com/v1"
AZURE_VERSION: Final = "2024-10-21"
_VENDORS: Final = {
    "deepgram": ("https://api.deepgram.com", "DEEPGRAM_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "hugging_face": ("https://router.huggingface.co/hf-inference", "HUGGINGFACE_API_KEY"),
}


class Environment(msgspec.Struct, frozen=True):
    """The accounts that the environment names: those of language models, and keys by vendor."""

    language: Account = Account()
    keys: dict[str, Secret] = {}


class Login(msgspec.Struct, frozen=True):
    """Credentials of one account; two that are equal are one account.

    `provider` is the name that metrics and analyses show.
    """

    provider: str
    base_url: str
    key: Secret
    organization: str | None = None
    project: str | None = None
    api_version: str | None = None


def language_login(account: Account, environment: Environment) -> Login:
    """The account for chat, embeddings and OpenAI's transcription. Raises ConfigError."""
    if account.base_url:
        return _own_server("openai", account)
    logins = [*_logins(environment.language), *_logins(account)]
    if not logins:
        raise _missing(
            "no account: set LITELLM_PROXY_URL with LITELLM_MASTER_KEY, AZURE_OPENAI_ENDPOINT with "
            "AZURE_OPENAI_API_KEY, or OPENAI_API_KEY, in the environment or the options"
        )
    login = logins[0]
    if login.provider != "openai":
        return login
    # OPENAI_BASE_URL says where OpenAI is, whoever says the key.
    return msgspec.structs.replace(
        login,
        base_url=environment.language.base_url or login.base_url,
        organization=account.organization or login.organization,
        project=account.project or login.project,
    )


def litellm_login(account: Account) -> Login | None:
    """The LiteLLM proxy that the options themselves name, if they do."""
    if account.base_url:
        return None
    return next((login for login in _logins(account) if login.provider == "litellm"), None)


def vendor_login(vendor: str, account: Account, environment: Environment) -> Login:
    """The account at a vendor of transcription that has a key of its own. Raises ConfigError."""
    if account.base_url:
        return _own_server(vendor, account)
    url, variable = _VENDORS[vendor]
    key = environment.keys.get(vendor) or account.api_key
    if key is None:
        raise _missing(f"no account: set {variable}, or the key in the options")
    return Login(vendor, url, key)


def _own_server(provider: str, account: Account) -> Login:
    if account.api_key is None:
        raise _missing(
            "base_url needs a key in the same options: those of the environment are not sent there"
        )
    url = str(account.base_url).rstrip("/")
    return Login(provider, url, account.api_key, account.organization, account.project)


def _logins(account: Account) -> Iterator[Login]:
    """The accounts that one place names, the first goes first."""
    shared = (account.organization, account.project)
    if account.litellm_proxy_url and account.litellm_master_key:
        url = account.litellm_proxy_url.rstrip("/")
        yield Login("litellm", url, account.litellm_master_key, *shared)
    if account.azure_endpoint and account.azure_api_key:
        url = account.azure_endpoint.rstrip("/")
        version = account.azure_api_version or AZURE_VERSION
        yield Login("azure", url, account.azure_api_key, api_version=version)
    if account.api_key:
        yield Login("openai", OPENAI_URL, account.api_key, *shared)


def _missing(message: str) -> ConfigError:
    return ConfigError([Problem((), message, "no_credentials")])
