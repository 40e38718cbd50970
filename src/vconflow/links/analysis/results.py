"""How the work of a model is written into a vCon."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from vconflow.links.analysis.asking import Answer, Asker
from vconflow.model.vcon import Vcon
from vconflow.ports.usage import Usage

__all__ = ["add_analysis", "total", "vendor_of"]

# As the reference names who made the model behind a LiteLLM proxy.
MAKERS = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "google": "google",
    "vertex_ai": "google",
    "mistral": "mistral",
    "meta": "meta",
    "cohere": "cohere",
    "groq": "groq",
    "bedrock": "bedrock",
}
NAMES = {
    "claude": "anthropic",
    "gpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "chatgpt": "openai",
    "gemini": "google",
    "mistral": "mistral",
    "mixtral": "mistral",
    "llama": "meta",
    "meta-llama": "meta",
    "command": "cohere",
}


def vendor_of(provider: str, model: str) -> str:
    """The vendor of an analysis: the provider, or behind a LiteLLM proxy the model's maker."""
    if provider != "litellm":
        return provider
    maker, _, rest = model.lower().partition("/")
    if rest and maker in MAKERS:
        return MAKERS[maker]
    name = model.lower().rpartition("/")[2]
    return next((NAMES[start] for start in NAMES if name.startswith(start)), provider)


def total(usages: Sequence[Usage]) -> Usage:
    """What several calls of one model took together; their cost is None unless all have one."""
    costs = [usage.cost for usage in usages]
    known = [cost for cost in costs if cost is not None]
    return msgspec.structs.replace(
        usages[0],
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        cost=sum(known) if len(known) == len(costs) else None,
    )


def add_analysis(
    vcon: Vcon,
    type: str,
    dialog: int | None,
    asker: Asker,
    answer: Answer[Any],
    asked: Mapping[str, Any],
    body: Any,
    encoding: str | None = None,
) -> None:
    """Add an analysis with what was asked and what that took.

    Where several calls were made, `usage` says how many.
    """
    usage: dict[str, Any] = msgspec.to_builtins(total(answer.usages))
    if len(answer.usages) > 1:
        usage["calls"] = len(answer.usages)
    vcon.add_analysis(
        type=type,
        dialog=dialog,
        vendor=vendor_of(asker.completer.vendor, asker.model),
        body=body,
        encoding=encoding,
        vendor_schema={"model": asker.model, **asked},
        usage=usage,
    )
