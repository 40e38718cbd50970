"""Calls to providers of models."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import debug_enabled, get_logger

__all__ = ["provider_called", "provider_used"]

_log = get_logger()


def provider_called(provider: str, model: str, outcome: str, seconds: float) -> None:
    """A call ended: completed, retryable, permanent, cancelled, or failed as nothing may."""
    metrics.PROVIDER_CALLS(provider, model, outcome).inc()
    metrics.PROVIDER_SECONDS(provider, model).observe(seconds)
    if debug_enabled():
        _log.debug(
            "provider_called", provider=provider, model=model, outcome=outcome, seconds=seconds
        )


def provider_used(
    provider: str,
    model: str,
    *,
    input_tokens: int = 0,
    output_tokens: int = 0,
    audio_seconds: float = 0.0,
    cost: float | None = None,
) -> None:
    """A provider counted what a call used; `cost` is in US dollars, None if no price is known."""
    for direction, tokens in (("input", input_tokens), ("output", output_tokens)):
        if tokens:
            metrics.PROVIDER_TOKENS(provider, model, direction).inc(tokens)
    if audio_seconds:
        metrics.PROVIDER_AUDIO(provider, model).inc(audio_seconds)
    if cost:
        metrics.PROVIDER_COST(provider, model).inc(cost)
