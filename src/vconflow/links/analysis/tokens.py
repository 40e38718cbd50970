"""How many tokens a text is, and how many a model takes.

Counting exactly needs the tables of each model's tokenizer. An estimate that is rather too high
does as well: a text that would just have fitted is split once more.
"""

__all__ = ["UNKNOWN_WINDOW", "estimate", "window_of"]

UNKNOWN_WINDOW = 32_768
"""Tokens that a model is taken for when nothing is known of it."""

# From a prefix of the model's name, the longest one counts. OpenAI's and other makers' model cards.
WINDOWS = {
    "gpt-3.5": 16_385,
    "gpt-4": 8_192,
    "gpt-4-32k": 32_768,
    "gpt-4-turbo": 128_000,
    "gpt-4-1106": 128_000,
    "gpt-4-0125": 128_000,
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-5": 272_000,
    "chatgpt-4o": 128_000,
    "o1": 128_000,
    "o3": 200_000,
    "o4": 200_000,
    "claude": 200_000,
    "gemini": 1_000_000,
    "mistral-large": 128_000,
    "deepseek": 64_000,
    "llama-3.1": 128_000,
    "llama-3.2": 128_000,
    "llama-3.3": 128_000,
}

# Tokens per character. English has about 4 characters a token; names, numbers and other languages
# have fewer. A token of a byte-level tokenizer is never less than a byte, and rarely less than half
# a letter of Greek, Cyrillic, Hebrew or Arabic, or a third of an Asian sign. The tokenizer of
# Llama 2, whose small vocabulary makes more tokens than newer ones, counts 0.4 to 1.25 times that.
ASCII = 1 / 3
TWO_BYTES = 1.0
THREE_BYTES = 2.0
FOUR_BYTES = 4.0

_LEADS_TWO = bytes(range(0xC0, 0xE0))
_LEADS_THREE = bytes(range(0xE0, 0xF0))
_LEADS_FOUR = bytes(range(0xF0, 0x100))


def estimate(text: str) -> float:
    """Tokens of a text, rather too many; of two texts together it is the sum of both."""
    if text.isascii():
        return len(text) * ASCII
    encoded = text.encode("utf-8", "surrogatepass")
    two, three, four = (_count(encoded, lead) for lead in (_LEADS_TWO, _LEADS_THREE, _LEADS_FOUR))
    rest = len(text) - two - three - four
    return rest * ASCII + two * TWO_BYTES + three * THREE_BYTES + four * FOUR_BYTES


def _count(encoded: bytes, among: bytes) -> int:
    return len(encoded) - len(encoded.translate(None, among))


def window_of(model: str) -> int:
    """Tokens that question and answer may have together, by the model's name."""
    # A proxy puts the maker in front: `azure/gpt-4o`, `openrouter/anthropic/claude-...`.
    name = model.lower().rpartition("/")[2]
    known = [prefix for prefix in WINDOWS if name.startswith(prefix)]
    return WINDOWS[max(known, key=len)] if known else UNKNOWN_WINDOW
