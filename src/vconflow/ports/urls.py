"""Types of options that hold a URL."""

from typing import Annotated

from msgspec import Meta

from vconflow.ports.component import EXPECTED

__all__ = ["HttpUrl", "HttpUrlOrNothing"]

_HTTP = "a URL that begins with http:// or https://"

HttpUrl = Annotated[str, Meta(pattern="^https?://.", extra={EXPECTED: _HTTP})]
HttpUrlOrNothing = Annotated[
    str, Meta(pattern="^(https?://.|$)", extra={EXPECTED: f"{_HTTP}, or nothing"})
]
