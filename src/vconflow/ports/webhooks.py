"""Posting a document to webhooks: what the link and the storage of that name have in common."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from vconflow.errors import Permanent, Refused, Retryable
from vconflow.ports.component import EXPECTED, SECRET_URL, Options, Secret
from vconflow.ports.failures import joined
from vconflow.ports.http import HttpSender

__all__ = ["PostOptions", "Webhooks"]

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
# Other schemes than http cannot be posted to; none at all is what some configurations have.
Url = Annotated[
    str,
    Meta(
        pattern="^(https?://.|(?!.*://).)",
        extra={SECRET_URL: True, EXPECTED: "a URL of http or https"},
    ),
]


class PostOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how to post."""

    webhook_urls: Annotated[
        tuple[Url, ...],
        Meta(description="Where to POST the vCon, all of them; https without a scheme."),
    ] = msgspec.field(name="webhook-urls", default=())
    headers: Annotated[
        dict[str, Secret], Meta(description="Headers of each request, such as Authorization.")
    ] = msgspec.field(default_factory=dict)
    timeout: Annotated[
        float, Meta(gt=0, description="Seconds that one request may take altogether.")
    ] = 30.0
    signing_secret: Annotated[
        Secret | None,
        Meta(
            description="When set, `X-Hub-Signature-256: sha256=<hex>` carries the HMAC of the "
            "body with this secret."
        ),
    ] = None

    def __post_init__(self) -> None:
        for name in self.headers:
            if not _HEADER_NAME.fullmatch(name):
                shown = name.partition(":")[0]  # what follows may be a credential
                raise ValueError(f"headers: {shown!r} cannot be the name of a header")


class Webhooks:
    """All URLs of one component; any answer but 2xx is a failure."""

    def __init__(self, options: PostOptions, http: HttpSender) -> None:
        self._options = options
        self._http = http
        self._urls = [url if "://" in url else f"https://{url}" for url in options.webhook_urls]
        self._headers = {"content-type": "application/json"} | {
            name.lower(): value.reveal() for name, value in options.headers.items()
        }

    async def post(self, body: bytes, idempotency_key: str) -> None:
        """Post to every URL. Raises Retryable: Refused when all that failed did answer.

        Receivers can drop repeats by the key, which goes along as `Idempotency-Key`.
        """
        headers = self._headers | self._headers_for(body, idempotency_key)
        results = await asyncio.gather(*(self._post(url, body, headers) for url in self._urls))
        _raise_failures([result for result in results if result is not None], len(results))

    def _headers_for(self, body: bytes, idempotency_key: str) -> dict[str, str]:
        # A list may be named in any script; a header holds ASCII only.
        headers = {"idempotency-key": quote(idempotency_key, safe=":/ ~!$'()*+,;=@&")}
        secret = self._options.signing_secret
        if secret is not None:
            digest = hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
            headers["x-hub-signature-256"] = f"sha256={digest}"
        return headers

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Retryable | None:
        timeout = self._options.timeout
        try:
            await self._http.post(url, content=body, headers=headers, timeout=timeout)
        except Retryable as failure:
            return failure
        except Permanent as refusal:
            # It may be a receiver that is being set up: attempts are limited.
            return Refused(str(refusal))
        return None


def _raise_failures(failures: Sequence[Retryable], tried: int) -> None:
    if not failures:
        return
    reasons = "; ".join(map(str, failures))
    message = f"{len(failures)} of {tried} webhooks failed: {reasons}"
    raise joined(failures, message, repeats=len(failures) < tried)
