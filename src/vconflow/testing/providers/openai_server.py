"""The API of OpenAI on loopback: chat completions, embeddings, transcriptions.

A LiteLLM proxy, Groq and other compatible servers are the same under other base paths; the form of
Azure's URLs and its header are understood too.
"""

import base64
import json
import math
import re
import struct
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
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

__all__ = ["Complete", "Embed", "OpenAiServer", "failure", "openai_server", "said"]

Complete = Callable[[Sequence[Mapping[str, Any]]], str]
"""Messages, as they were sent, to what the model says."""
Embed = Callable[[str], Sequence[float]]

_KINDS: Final = {
    "chat/completions": "chat",
    "embeddings": "embeddings",
    "audio/transcriptions": "transcription",
}
_DEPLOYMENT: Final = re.compile(r"/openai/deployments/([^/]+)/")


class OpenAiServer(ProviderServer):
    """Answers by the three functions; without one its route says that there is no such model.

    `models` are those that exist, None is any; `context_tokens` is the longest prompt.
    """

    def __init__(
        self,
        complete: Complete | None,
        embed: Embed | None,
        hear: Hear | None,
        decide: Decide | None,
        keys: Collection[str] | None,
    ) -> None:
        super().__init__(decide, keys)
        self.models: Collection[str] | None = None
        self.context_tokens = 128_000
        self._complete = complete
        self._embed = embed
        self._hear = hear

    @property
    def base_url(self) -> str:
        """What clients are given as base URL."""
        return f"{self.url}/v1"

    def understand(self, received: Received, path: str, query: Mapping[str, Any]) -> Call:
        kind = next((kind for end, kind in _KINDS.items() if path.endswith(f"/{end}")), "")
        content, recording = _body(received)
        deployment = _DEPLOYMENT.search(path)
        return Call(
            kind=kind,
            path=path,
            key=_key(received.headers, azure=deployment is not None),
            model=deployment[1] if deployment else str(content.get("model", "")),
            options={**query, **content},
            headers=received.headers,
            recording=recording,
        )

    def refusal(self, call: Call) -> Reply:
        return failure(401, "invalid_api_key", "Incorrect API key provided.")

    def reply(self, call: Call) -> Reply:
        if not call.kind:
            return failure(404, "unknown_url", f"Unknown request URL: POST {call.path}.")
        if "/deployments/" in call.path and "api-version" not in call.options:
            return failure(404, "404", "Resource not found")
        if self.models is not None and call.model not in self.models:
            return _no_model(call)
        answers = {
            "chat": self._chat,
            "embeddings": self._embeddings,
            "transcription": self._transcription,
        }
        return answers[call.kind](call)

    def _chat(self, call: Call) -> Reply:
        if self._complete is None:
            return _no_model(call)
        if _tokens(call.prompt) > self.context_tokens:
            return failure(
                400, "context_length_exceeded", f"The limit is {self.context_tokens} tokens."
            )
        text = self._complete(call.options["messages"])
        return said(text, model=call.model, prompt_tokens=_tokens(call.prompt))

    def _embeddings(self, call: Call) -> Reply:
        if self._embed is None:
            return _no_model(call)
        given = call.options["input"]
        texts = [given] if isinstance(given, str) else given
        if not texts or "" in texts:
            return failure(400, "invalid_input", "'$.input' is invalid.")
        dimensions = call.options.get("dimensions")
        vectors = [_shortened(self._embed(text), dimensions) for text in texts]
        as_text = call.options.get("encoding_format") == "base64"
        tokens = sum(map(_tokens, texts))
        return json_reply(
            {
                "object": "list",
                "model": call.model,
                "data": [
                    {
                        "object": "embedding",
                        "index": index,
                        "embedding": _base64(vector) if as_text else vector,
                    }
                    for index, vector in enumerate(vectors)
                ],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    def _transcription(self, call: Call) -> Reply:
        if self._hear is None:
            return _no_model(call)
        wanted = call.options.get("response_format", "json")
        if wanted == "verbose_json" and "gpt-" in call.model:
            return failure(400, "unsupported_value", "response_format is not compatible.")
        try:
            heard = self._hear(call.recording)
        except Unheard:
            return failure(400, "invalid_value", "The audio file could not be decoded.")
        return json_reply(
            _verbose(heard, call) if wanted == "verbose_json" else _brief(heard, call)
        )


def said(
    text: str, *, model: str = "gpt-4o", prompt_tokens: int = 0, finish_reason: str = "stop"
) -> Reply:
    """A chat completion; `finish_reason` is `length` when the model's limit cut it short."""
    tokens = _tokens(text)
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return json_reply(
        {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": tokens,
                "total_tokens": prompt_tokens + tokens,
            },
        }
    )


def failure(
    status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """An error in OpenAI's form."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json_reply({"error": error}, status, headers)


@contextmanager
def openai_server(
    *,
    complete: Complete | None = None,
    embed: Embed | None = None,
    hear: Hear | None = None,
    decide: Decide | None = None,
    keys: Collection[str] | None = None,
) -> Iterator[OpenAiServer]:
    """Run the API on a free port; `decide` may answer a call otherwise, e.g. with a fault."""
    with served(OpenAiServer(complete, embed, hear, decide, keys)) as server:
        yield server


def _key(headers: Mapping[str, str], *, azure: bool) -> str:
    if azure:
        return headers.get("api-key", "")
    return headers.get("authorization", "").removeprefix("Bearer ")


def _body(received: Received) -> tuple[dict[str, Any], bytes]:
    """The members of a body of JSON, or the fields of a form and its file."""
    kind = received.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return json.loads(received.body or b"{}"), b""
    fields: dict[str, Any] = {}
    recording = b""
    boundary = kind.partition("boundary=")[2].strip('"').encode()
    for part in received.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        found = re.search(rb'name="([^"]*)"', head)
        name = found[1].decode() if found else ""
        if name == "file":
            recording = content[:-2]
        elif name.endswith("[]"):
            fields.setdefault(name[:-2], []).append(content[:-2].decode())
        else:
            fields[name] = content[:-2].decode()
    return fields, recording


def _no_model(call: Call) -> Reply:
    return failure(404, "model_not_found", f"The model `{call.model}` does not exist.")


def _tokens(text: str) -> int:
    """About what a tokenizer would count."""
    return math.ceil(len(text) / 4)


def _shortened(vector: Sequence[float], dimensions: int | None) -> list[float]:
    """The first dimensions at length 1, as models of this kind are shortened."""
    cut = list(vector[:dimensions])
    length = math.sqrt(sum(value * value for value in cut)) or 1.0
    return [value / length for value in cut]


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _brief(heard: Heard, call: Call) -> dict[str, Any]:
    if "gpt-" not in call.model:
        return {"text": heard.text, "usage": {"type": "duration", "seconds": heard.duration}}
    audio, text = math.ceil(heard.duration * 10), _tokens(heard.text)
    usage = {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": text,
        "total_tokens": audio + text,
    }
    return {"text": heard.text, "usage": usage}


def _verbose(heard: Heard, call: Call) -> dict[str, Any]:
    segment = {
        "id": 0,
        "seek": 0,
        "start": heard.words[0].start if heard.words else 0.0,
        "end": heard.words[-1].end if heard.words else 0.0,
        "text": heard.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": sum(math.log(max(word.confidence, 1e-6)) for word in heard.words)
        / max(len(heard.words), 1),
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0 if heard.words else 1.0,
    }
    answer = {
        "task": "transcribe",
        "language": "english",
        "duration": heard.duration,
        "text": heard.text,
        "segments": [segment] if heard.words else [],
        "usage": {"type": "duration", "seconds": math.ceil(heard.duration)},
    }
    if "word" in call.options.get("timestamp_granularities", ()):
        answer["words"] = [
            {"word": word.word, "start": word.start, "end": word.end} for word in heard.words
        ]
    return answer
