"""Loopback servers that speak the wire formats of providers of models.

What they answer is made by functions that the test supplies: a real small model, or plain logic.
"""

from vconflow.testing.providers.deepgram_server import DeepgramServer, deepgram_server
from vconflow.testing.providers.hugging_face_server import HuggingFaceServer, hugging_face_server
from vconflow.testing.providers.openai_server import OpenAiServer, openai_server
from vconflow.testing.providers.server import Call, ProviderServer
from vconflow.testing.webhook_receiver import Reply

__all__ = [
    "Call",
    "DeepgramServer",
    "HuggingFaceServer",
    "OpenAiServer",
    "ProviderServer",
    "Reply",
    "deepgram_server",
    "hugging_face_server",
    "openai_server",
]
