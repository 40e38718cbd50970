"""Providers of models."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.provider_called("openai", "gpt-4o", "completed", 0.5),
        {
            'provider_calls_total{"gpt-4o","completed","openai"}': 1,
            'provider_seconds_count{"gpt-4o","openai"}': 1,
            'provider_seconds_sum{"gpt-4o","openai"}': 0.5,
        },
        None,
    ),
    Occurrence(
        lambda: events.provider_used(
            "openai", "gpt-4o", input_tokens=1000, output_tokens=20, cost=0.0027
        ),
        {
            'provider_tokens_total{"input","gpt-4o","openai"}': 1000,
            'provider_tokens_total{"output","gpt-4o","openai"}': 20,
            'provider_cost_dollars_total{"gpt-4o","openai"}': 0.0027,
        },
        None,
    ),
    Occurrence(
        lambda: events.provider_used("deepgram", "nova-3", audio_seconds=60.0),
        {'provider_audio_seconds_total{"nova-3","deepgram"}': 60},
        None,
    ),
]
