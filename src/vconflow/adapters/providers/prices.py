"""What calls cost.

`DEFAULT` is the list prices as they were known in August 2025, for orders of magnitude; whoever
counts money gives their own by VCONFLOW_PRICES_FILE.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta

from vconflow.errors import ConfigError, Problem
from vconflow.ports.usage import Usage

__all__ = ["Price", "Prices"]

_DATE: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4,8}|latest)$")
_SAME_AS: Final = {"azure": "openai", "litellm": "openai"}
"""Whose prices count for accounts that resell."""

Dollars = Annotated[float, Meta(ge=0)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In US dollars: of a million tokens read and written, and of a minute of a recording."""

    input: Dollars = 0.0
    output: Dollars = 0.0
    minute: Dollars = 0.0


def _per_model(prices: dict[str, tuple[float, float]]) -> dict[str, Price]:
    return {model: Price(read, written) for model, (read, written) in prices.items()}


DEFAULT: Final[dict[str, dict[str, Price]]] = {
    "openai": {
        **_per_model(
            {
                "gpt-3.5-turbo": (0.5, 1.5),
                "gpt-3.5-turbo-16k": (3.0, 4.0),
                "gpt-4": (30.0, 60.0),
                "gpt-4-turbo": (10.0, 30.0),
                "gpt-4.1": (2.0, 8.0),
                "gpt-4.1-mini": (0.4, 1.6),
                "gpt-4.1-nano": (0.1, 0.4),
                "gpt-4o": (2.5, 10.0),
                "gpt-4o-mini": (0.15, 0.6),
                "gpt-5": (1.25, 10.0),
                "gpt-5-mini": (0.25, 2.0),
                "gpt-5-nano": (0.05, 0.4),
                "o3": (2.0, 8.0),
                "o4-mini": (1.1, 4.4),
                "text-embedding-3-large": (0.13, 0.0),
                "text-embedding-3-small": (0.02, 0.0),
                "text-embedding-ada-002": (0.1, 0.0),
            }
        ),
        "gpt-4o-mini-transcribe": Price(minute=0.003),
        "gpt-4o-transcribe": Price(minute=0.006),
        "whisper-1": Price(minute=0.006),
    },
    "deepgram": {
        "base": Price(minute=0.0125),
        "enhanced": Price(minute=0.0145),
        "nova": Price(minute=0.0043),
        "nova-2": Price(minute=0.0043),
        "nova-3": Price(minute=0.0043),
        "whisper": Price(minute=0.0048),
    },
    "groq": {
        "whisper-large-v3": Price(minute=0.00185),
        "whisper-large-v3-turbo": Price(minute=0.00067),
    },
}


class Prices:
    """Prices by provider and model."""

    def __init__(self, own: dict[str, dict[str, Price]] | None = None) -> None:
        own = own or {}
        self._table = {
            provider: {**DEFAULT.get(provider, {}), **own.get(provider, {})}
            for provider in {*DEFAULT, *own}
        }

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read `{provider: {model: {input, output, minute}}}`, YAML or JSON, over the defaults.

        Raises ConfigError for a file that cannot be read or holds something else.
        """
        try:
            return cls(msgspec.yaml.decode(file.read_bytes(), type=dict[str, dict[str, Price]]))
        except OSError as error:
            message = f"{file} cannot be read: {error.strerror}"
        except (msgspec.DecodeError, ValueError) as error:
            message = f"{file} holds no prices: {error}"
        raise ConfigError([Problem(("VCONFLOW_PRICES_FILE",), message, "bad_prices")])

    def cost(self, usage: Usage, asked: str) -> float | None:
        """US dollars; None without a price of the model that answered or was `asked`, or without
        the length of a recording.
        """
        price = self._price(usage.provider, usage.model) or self._price(usage.provider, asked)
        if price is None or (price.minute and not usage.audio_seconds):
            return None
        tokens = usage.input_tokens * price.input + usage.output_tokens * price.output
        return tokens / 1_000_000 + usage.audio_seconds / 60 * price.minute

    def _price(self, provider: str, model: str) -> Price | None:
        for table in (provider, _SAME_AS.get(provider, provider)):
            prices = self._table.get(table, {})
            # A proxy puts the vendor before the name: openai/gpt-4o.
            for name in (model, model.rpartition("/")[2]):
                found = prices.get(name) or prices.get(_DATE.sub("", name))
                if found is not None:
                    return found
        return None
