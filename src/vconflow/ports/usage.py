"""What a call to a provider took, in its own units and in money."""

import msgspec

__all__ = ["Usage"]


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was billed, or would be.

    Tokens are those that the provider counted; `audio_seconds` is the length of the recordings;
    `cost` is in US dollars, None where no price is known.
    """

    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    audio_seconds: float = 0.0
    cost: float | None = None
