"""Accounts at providers of models, as links and storages ask for them."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from vconflow.errors import Permanent
from vconflow.ports.completer import Completer
from vconflow.ports.component import Secret
from vconflow.ports.embedder import Embedder
from vconflow.ports.transcriber import Transcriber

__all__ = ["Account", "AccountRefused", "CallLimit", "Providers", "TranscriberOptions"]

CallLimit = Annotated[
    Annotated[int, Meta(ge=1)] | None,
    Meta(
        description="Calls that may be under way at once, if not `VCONFLOW_PROVIDER_CONCURRENCY`: "
        "of all components together that name the same account and the same number."
    ),
]
"""The option `provider_concurrency` of components that call a provider."""


class AccountRefused(Permanent):
    """The provider refuses the key, or knows no such model: what it was asked is not to blame."""


class Account(msgspec.Struct, frozen=True):
    """Credentials as a component's options give them.

    The environment goes first: LITELLM_PROXY_URL with LITELLM_MASTER_KEY, else AZURE_OPENAI_*, else
    OPENAI_API_KEY, else what stands here in the same order. But a `base_url` is a server of its
    own: it takes the `api_key` that stands here and none of the environment. `timeout` is
    in seconds for one call, `concurrency` how many calls of the account may be under way at the
    same time; None leaves both to the settings. What is blank counts as not given: `${NAME:-}` of a
    variable that is not set.
    """

    api_key: Secret | None = None
    base_url: str | None = None
    organization: str | None = None
    project: str | None = None
    azure_endpoint: str | None = None
    azure_api_key: Secret | None = None
    azure_api_version: str | None = None
    litellm_proxy_url: str | None = None
    litellm_master_key: Secret | None = None
    timeout: float | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            blank = value.is_blank if isinstance(value, Secret) else not str(value).strip()
            if blank:
                msgspec.structs.force_setattr(self, name, None)


class TranscriberOptions(msgspec.Struct, frozen=True):
    """What a transcriber is opened with; `options` are those of the vendor's own API."""

    account: Account = Account()
    model: str | None = None
    options: dict[str, Any] = {}


class Providers(Protocol):
    """Opens accounts; whoever names the same one shares its client and its limits.

    All raise `ConfigError` at opening when nothing says which account to use, or when the extra
    that holds the provider's client is not installed.
    """

    def completer(self, account: Account) -> AbstractAsyncContextManager[Completer]:
        """An account for chat completions."""
        ...

    def transcriber(
        self, vendor: str, options: TranscriberOptions
    ) -> AbstractAsyncContextManager[Transcriber]:
        """An account for speech to text; `vendor` is deepgram, openai, groq or hugging_face."""
        ...

    def embedder(
        self, account: Account, model: str, dim: int
    ) -> AbstractAsyncContextManager[Embedder]:
        """An embedding model: of the account, or a local one (`local:<name>`)."""
        ...
