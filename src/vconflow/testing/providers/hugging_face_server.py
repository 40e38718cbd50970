"""An inference endpoint of Hugging Face on loopback: the recording in, its text out."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vconflow.testing.providers.server import (
    Call,
    Decide,
    ProviderServer,
    json_reply,
    served,
)
from vconflow.testing.speech import Hear, Unheard
from vconflow.testing.webhook_receiver import Received, Reply

__all__ = ["HuggingFaceServer", "failure", "hugging_face_server", "loading"]


class HuggingFaceServer(ProviderServer):
    """Answers the POST of a recording by a function that listens."""

    def __init__(self, hear: Hear, decide: Decide | None, keys: Collection[str] | None) -> None:
        super().__init__(decide, keys)
        self._hear = hear

    def understand(self, received: Received, path: str, query: Mapping[str, Any]) -> Call:
        return Call(
            kind="transcription",
            path=path,
            key=received.headers.get("authorization", "").removeprefix("Bearer "),
            model=path.partition("/models/")[2],
            options=query,
            headers=received.headers,
            recording=received.body,
        )

    def refusal(self, call: Call) -> Reply:
        return failure(401, "Invalid credentials in Authorization header")

    def reply(self, call: Call) -> Reply:
        try:
            return json_reply({"text": self._hear(call.recording).text})
        except Unheard:
            return failure(400, "Malformed soundfile")


def failure(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """An error in the form of Hugging Face."""
    return json_reply({"error": message}, status, headers)


def loading(seconds: float) -> Reply:
    """The model is not in memory yet and takes so long to come."""
    return json_reply({"error": "Model is currently loading", "estimated_time": seconds}, 503)


@contextmanager
def hugging_face_server(
    hear: Hear, *, decide: Decide | None = None, keys: Collection[str] | None = None
) -> Iterator[HuggingFaceServer]:
    """Run an endpoint on a free port; `decide` may answer a call otherwise, e.g. with a fault."""
    with served(HuggingFaceServer(hear, decide, keys)) as server:
        yield server
