"""The API of Deepgram for recordings on loopback: by URL and by upload."""

import hashlib
import json
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from uuid import uuid4

from vconflow.testing.providers.server import (
    Call,
    Decide,
    ProviderServer,
    json_reply,
    served,
)
from vconflow.testing.speech import Hear, Heard, Unheard
from vconflow.testing.webhook_receiver import Received, Reply

__all__ = ["DeepgramServer", "deepgram_server", "failure"]

MODEL_ID = "30089e05-99d1-4376-b32e-c263170674af"
SECONDS = 30.0


class DeepgramServer(ProviderServer):
    """Answers POST /v1/listen by a function that listens."""

    def __init__(self, hear: Hear, decide: Decide | None, keys: Collection[str] | None) -> None:
        super().__init__(decide, keys)
        self._hear = hear

    def understand(self, received: Received, path: str, query: Mapping[str, Any]) -> Call:
        remote = received.headers.get("content-type", "").startswith("application/json")
        content = json.loads(received.body) if remote else {}
        return Call(
            kind="transcription" if path.endswith("/v1/listen") else "",
            path=path,
            key=received.headers.get("authorization", "").removeprefix("Token "),
            model=str(query.get("model", "base-general")),
            options={**query, **content},
            headers=received.headers,
            recording=b"" if remote else received.body,
        )

    def refusal(self, call: Call) -> Reply:
        return failure(401, "INVALID_AUTH", "Invalid credentials.")

    def reply(self, call: Call) -> Reply:
        if not call.kind:
            return failure(404, "NOT_FOUND", "Not found.")
        try:
            recording = call.recording or _fetched(str(call.options.get("url", "")))
            heard = self._hear(recording)
        except HTTPError as error:
            with error:
                return failure(400, "REMOTE_CONTENT_ERROR", f"The server answered {error.code}.")
        except (URLError, ValueError):
            return failure(400, "REMOTE_CONTENT_ERROR", "The URL could not be fetched.")
        except Unheard:
            return failure(400, "Bad Request", "failed to process audio: corrupt or unsupported")
        return json_reply(_answer(heard, call, hashlib.sha256(recording).hexdigest()))


def failure(
    status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error in Deepgram's form."""
    content = {"err_code": code, "err_msg": message, "request_id": str(uuid4())}
    return json_reply(content, status, headers)


@contextmanager
def deepgram_server(
    hear: Hear, *, decide: Decide | None = None, keys: Collection[str] | None = None
) -> Iterator[DeepgramServer]:
    """Run the API on a free port; `decide` may answer a call otherwise, e.g. with a fault."""
    with served(DeepgramServer(hear, decide, keys)) as server:
        yield server


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=SECONDS) as response:
        content: bytes = response.read()
        return content


def _answer(heard: Heard, call: Call, digest: str) -> dict[str, Any]:
    channel: dict[str, Any] = {"alternatives": [_alternative(heard, call.options)]}
    if call.options.get("detect_language") == "true":
        channel |= {"detected_language": heard.language, "language_confidence": 0.99}
    return {
        "metadata": {
            "transaction_key": "deprecated",
            "request_id": str(uuid4()),
            "sha256": digest,
            "created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "duration": heard.duration,
            "channels": 1,
            "models": [MODEL_ID],
            "model_info": {
                MODEL_ID: {"name": call.model, "version": "2024-01-09.29447", "arch": call.model}
            },
        },
        "results": {"channels": [channel]},
    }


def _alternative(heard: Heard, options: Mapping[str, Any]) -> dict[str, Any]:
    words = [
        {
            "word": word.word.lower().strip(".,!?;:"),
            "start": word.start,
            "end": word.end,
            "confidence": word.confidence,
            "punctuated_word": word.word,
        }
        for word in heard.words
    ]
    confidence = sum(word.confidence for word in heard.words) / max(len(heard.words), 1)
    alternative = {"transcript": heard.text, "confidence": confidence, "words": words}
    if options.get("smart_format") == "true" or options.get("paragraphs") == "true":
        alternative["paragraphs"] = _paragraphs(heard)
    return alternative


def _paragraphs(heard: Heard) -> dict[str, Any]:
    start = heard.words[0].start if heard.words else 0.0
    end = heard.words[-1].end if heard.words else 0.0
    sentence = {"text": heard.text, "start": start, "end": end}
    paragraph = {
        "sentences": [sentence],
        "num_words": len(heard.words),
        "start": start,
        "end": end,
    }
    return {"transcript": f"\n{heard.text}", "paragraphs": [paragraph]}
