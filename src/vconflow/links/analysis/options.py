"""Options that the links which ask a language model share, in the reference's spellings."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from vconflow.links.analysis.source import PARAGRAPHS
from vconflow.links.filters import OnlyIf
from vconflow.ports.component import Options, Secret
from vconflow.ports.providers import Account, CallLimit

__all__ = [
    "AnalysisType",
    "DialogOptions",
    "DialogSource",
    "Model",
    "ModelOptions",
    "Prompt",
    "ResponseFormat",
    "Source",
    "SystemPrompt",
    "Temperature",
    "json_answers",
]

PLANNED_SECONDS = 120.0
"""A call may take that long where `provider_timeout` does not say."""

AnalysisType = Annotated[
    str,
    Meta(
        min_length=1,
        description="Type of the analysis that is added where there is none of it yet.",
    ),
]
Model = Annotated[str, Meta(min_length=1, description="The model, as the provider names it.")]
Prompt = Annotated[str, Meta(description="What the model is asked; the text follows.")]
SystemPrompt = Annotated[str, Meta(description="What the model is told first.")]
Temperature = Annotated[
    Annotated[float, Meta(ge=0)] | None,
    Meta(description="How freely the model answers; null for models that take none."),
]
ResponseFormat = Annotated[
    dict[str, Any] | None,
    Meta(description="The form of answers as the OpenAI API has it: json_object or json_schema."),
]


def json_answers() -> dict[str, Any]:
    """The form of answers by default, of links that read JSON."""
    return {"type": "json_object"}


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which analysis of a dialog is the model's text, and where in it."""

    analysis_type: Annotated[str, Meta(min_length=1)] = "transcript"
    text_location: Annotated[str, Meta(min_length=1)] = PARAGRAPHS


DialogSource = Annotated[
    Source,
    Meta(
        description="Which analysis of a dialog has the text, and the dotted place of it there. "
        "Dialogs without one are skipped."
    ),
]


class ModelOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of which account, and about which vCons."""

    aliases: ClassVar[dict[str, str]] = {
        "openai_api_key": "openai_api_key",
        "api_key": "openai_api_key",
        "OPENAI_BASE_URL": "base_url",
        "organization_key": "organization",
        "project_key": "project",
    }

    analysis_type: AnalysisType
    model: Model
    temperature: Temperature = None
    response_format: ResponseFormat = None
    sampling_rate: Annotated[
        float,
        Meta(ge=0, description="The part of all vCons that is worked on: 0 is none, 1 is all."),
    ] = 1
    only_if: Annotated[
        OnlyIf,
        Meta(
            description="Works only on vCons with such an attachment or analysis: `section` "
            "(attachments or analysis), `purpose` or `type`, and what its body `includes`, of tags "
            "a whole `name:value`."
        ),
    ] = OnlyIf()
    openai_api_key: Annotated[
        Secret | None, Meta(description="Key at OpenAI, or at what `base_url` says.")
    ] = msgspec.field(name="OPENAI_API_KEY", default=None)
    base_url: Annotated[
        str | None, Meta(description="Address of another server that speaks OpenAI's API.")
    ] = None
    organization: Annotated[str | None, Meta(description="Organization at OpenAI.")] = None
    project: Annotated[str | None, Meta(description="Project at OpenAI.")] = None
    azure_endpoint: Annotated[
        str | None, Meta(description="Endpoint at Azure OpenAI; goes before OpenAI.")
    ] = msgspec.field(name="AZURE_OPENAI_ENDPOINT", default=None)
    azure_api_key: Annotated[Secret | None, Meta(description="Key at Azure OpenAI.")] = (
        msgspec.field(name="AZURE_OPENAI_API_KEY", default=None)
    )
    azure_api_version: Annotated[
        str | None, Meta(description="Version of Azure's API, by default 2024-10-21.")
    ] = msgspec.field(name="AZURE_OPENAI_API_VERSION", default=None)
    litellm_proxy_url: Annotated[
        str | None, Meta(description="Address of a LiteLLM proxy; goes before all others.")
    ] = msgspec.field(name="LITELLM_PROXY_URL", default=None)
    litellm_master_key: Annotated[Secret | None, Meta(description="Key of the LiteLLM proxy.")] = (
        msgspec.field(name="LITELLM_MASTER_KEY", default=None)
    )
    provider_timeout: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Seconds that one call may take, if not `VCONFLOW_PROVIDER_TIMEOUT`."),
    ] = None
    provider_concurrency: CallLimit = None
    context_tokens: Annotated[
        Annotated[int, Meta(ge=512)] | None,
        Meta(
            description="Tokens that a question and its answer may have together; by default "
            "known from the model's name. Longer texts are asked about in parts."
        ),
    ] = None
    record_agent_session: Annotated[
        bool, Meta(description="Without effect: sessions of agents are not recorded.")
    ] = False

    @property
    def planned_seconds(self) -> float:
        """How long one call may take: the engine's time-out of the link comes on top of that."""
        return self.provider_timeout or PLANNED_SECONDS

    def account(self) -> Account:
        """The account that the options name."""
        return Account(
            api_key=self.openai_api_key,
            base_url=self.base_url,
            organization=self.organization,
            project=self.project,
            azure_endpoint=self.azure_endpoint,
            azure_api_key=self.azure_api_key,
            azure_api_version=self.azure_api_version,
            litellm_proxy_url=self.litellm_proxy_url,
            litellm_master_key=self.litellm_master_key,
            timeout=self.provider_timeout,
            concurrency=self.provider_concurrency,
        )


class DialogOptions(ModelOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for links that look at one dialog at a time."""

    source: DialogSource = Source()
    concurrency: Annotated[
        int, Meta(ge=1, description="Calls about one vCon that are under way at a time.")
    ] = 8
