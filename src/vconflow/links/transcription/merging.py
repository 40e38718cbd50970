"""Transcripts of the pieces of a recording become that of the whole."""

from collections.abc import Sequence
from typing import Any

import msgspec

from vconflow.ports.transcriber import Transcript
from vconflow.ports.usage import Usage

__all__ = ["merged"]


def merged(pieces: Sequence[Transcript]) -> Transcript:
    """One transcript, with those of the pieces in its body as the reference has them there."""
    if len(pieces) == 1:
        return pieces[0]
    text = " ".join(piece.text for piece in pieces if piece.text)
    sure = [piece.confidence for piece in pieces if piece.confidence is not None]
    durations = [piece.duration for piece in pieces if piece.duration is not None]
    usage = _sum([piece.usage for piece in pieces])
    return msgspec.structs.replace(
        pieces[0],
        text=text,
        body=_body(text, usage, [piece.body for piece in pieces]),
        usage=usage,
        confidence=sum(sure) / len(sure) if sure else None,
        duration=sum(durations) if durations else None,
    )


def _sum(usages: Sequence[Usage]) -> Usage:
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return msgspec.structs.replace(
        usages[0],
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        audio_seconds=sum(usage.audio_seconds for usage in usages),
        cost=sum(costs) if len(costs) == len(usages) else None,
    )


def _body(text: str, usage: Usage, bodies: Sequence[Any]) -> dict[str, Any]:
    tokens = {
        "type": "tokens",
        "input_tokens": usage.input_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": usage.input_tokens},
    }
    chunked = {"total_chunks": len(bodies), "chunk_results": list(bodies)}
    return {**bodies[0], "text": text, "usage": tokens, "chunked_transcription": chunked}
