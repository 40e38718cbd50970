"""JSON that goes back as it came: numbers keep their text, what nobody touches keeps its bytes.

Integers of any size survive by themselves (up to the 4300 digits that Python converts). A float
whose text would change (`1.10`, `1E5`, `1e400`) is decoded to an `ExactFloat`.
"""

from typing import Any, Self

import msgspec
from msgspec import Raw

from vconflow.model.reading import refuse

__all__ = ["ExactFloat", "canonical", "decode_exact", "decode_plain", "encode", "same"]


class ExactFloat(float):
    """A float that remembers how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # copies are made from text
        return (self.text,)


def decode_plain(raw: Raw | bytes) -> Any:
    """Return the value with ordinary floats, for reading. Raises InvalidVcon."""
    return _decode(_PLAIN, raw)


def decode_exact(raw: Raw | bytes) -> Any:
    """Return the value so that `encode` writes every number as it stood. Raises InvalidVcon."""
    return _decode(_EXACT, raw)


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON; `Raw` and `ExactFloat` are written as they are.

    NaN and the infinities, which JSON does not have, become null. Raises TypeError.
    """
    return _ENCODER.encode(value)


def same(one: Raw, other: Raw) -> bool:
    """Tell whether two texts are the same JSON, whatever their spaces and order of members."""
    return bytes(one) == bytes(other) or canonical(one) == canonical(other)


def canonical(raw: Raw) -> bytes:
    """Return the text that all spellings of the same JSON share."""
    return _SORTED.encode(decode_exact(raw))


def _float(text: str) -> float:
    value = float(text)
    return value if msgspec.json.encode(value) == text.encode() else ExactFloat(text)


def _hook(value: Any) -> Raw:
    if isinstance(value, ExactFloat):
        return Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode(decoder: "msgspec.json.Decoder[Any]", raw: Raw | bytes) -> Any:
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise refuse((), "nested too deeply", "too_deep") from None
    except msgspec.ValidationError:
        raise refuse((), "a number is too large", "out_of_range") from None
    except ValueError:  # DecodeError and UnicodeDecodeError
        raise refuse((), "malformed JSON", "malformed_json") from None


_PLAIN = msgspec.json.Decoder(float_hook=float)
_EXACT = msgspec.json.Decoder(float_hook=_float)
_ENCODER = msgspec.json.Encoder(enc_hook=_hook)
_SORTED = msgspec.json.Encoder(enc_hook=_hook, order="deterministic")
