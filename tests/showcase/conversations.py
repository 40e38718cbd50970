"""Fifty vCons with a recording each: every other one inline, the others by URL."""

import base64
import hashlib
import io
import json
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vconflow.model.identifiers import new_uuid
from vconflow.testing.speech import speak

from .scripts import CONCERNS, spoken

__all__ = ["Conversation", "conversations", "recordings_served"]

VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3")


@dataclass(frozen=True)
class Conversation:
    """One vCon as it is posted; `concern` is a sentence that is said in it and in no other."""

    uuid: str
    concern: str
    document: bytes
    recording: bytes

    @property
    def seconds(self) -> float:
        """The length of the recording."""
        return seconds_of(self.recording)


@contextmanager
def recordings_served() -> Iterator[dict[str, bytes]]:
    """What is put into the dict, by path, can be fetched from the URL that stands under ``""``."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("content-type", "audio/wav")
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files[""] = f"http://127.0.0.1:{server.server_port}".encode()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def conversations(count: int, served: dict[str, bytes]) -> Iterator[Conversation]:
    """Make them, one after the other, and serve the recordings that are not inline."""
    for number in range(min(count, len(CONCERNS))):
        recording = speak(spoken(number), voice=VOICES[number % len(VOICES)])
        uuid = new_uuid()
        place = _inline(recording) if number % 2 else _served(uuid, recording, served)
        dialog = {
            "type": "recording",
            "start": "2026-03-14T09:26:53Z",
            "duration": round(seconds_of(recording), 2),
            "parties": [0, 1],
            "mediatype": "audio/wav",
            **place,
        }
        document = {
            "vcon": "0.4.0",
            "uuid": uuid,
            "created_at": "2026-03-14T09:26:53Z",
            "parties": [
                {"tel": f"+1555010{number:04}", "name": "Customer"},
                {"mailto": "agent@example.com", "name": "Agent"},
            ],
            "dialog": [dialog],
        }
        yield Conversation(uuid, CONCERNS[number], json.dumps(document).encode(), recording)


def seconds_of(recording: bytes) -> float:
    with wave.open(io.BytesIO(recording)) as opened:
        return opened.getnframes() / opened.getframerate()


def _inline(recording: bytes) -> dict[str, str]:
    body = base64.urlsafe_b64encode(recording).decode().rstrip("=")
    return {"body": body, "encoding": "base64url"}


def _served(uuid: str, recording: bytes, served: dict[str, bytes]) -> dict[str, str]:
    path = f"/{uuid}.wav"
    served[path] = recording
    digest = base64.urlsafe_b64encode(hashlib.sha512(recording).digest()).decode().rstrip("=")
    return {"url": f"{served[''].decode()}{path}", "content_hash": f"sha512-{digest}"}
