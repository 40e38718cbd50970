"""JLINC: every step of a vCon as a signed event between two identities, in an audit archive.

The identities are the links of the chain and, at both ends, the system itself:
`<prefix>-<link>@<domain>` and `<prefix>-system@<domain>`. JLINC makes each when it is first named.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Self, TypeVar

import msgspec
from msgspec import Meta

from vconflow.errors import Permanent
from vconflow.ports.component import Options, Resources, Secret
from vconflow.ports.http import ANSWER_LIMIT
from vconflow.ports.tracer import Passage
from vconflow.ports.urls import HttpUrl

__all__ = ["JlincOptions", "JlincTracer"]

_NO_NAME = re.compile(r"[^a-zA-Z0-9._-]")
_SECONDS = 60.0
"""The engine's own limit is mostly shorter."""

AnswerT = TypeVar("AnswerT")


class JlincOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the tracer `jlinc`."""

    data_store_api_url: Annotated[HttpUrl, Meta(description="The data store API of JLINC.")] = (
        "http://jlinc-server:9090"
    )
    data_store_api_key: Annotated[Secret, Meta(description="Its key, sent as Bearer.")] = Secret("")
    archive_api_url: Annotated[
        HttpUrl, Meta(description="The archive API that JLINC puts the audit into.")
    ] = "http://jlinc-server:9090"
    archive_api_key: Annotated[Secret, Meta(description="Its key, handed on with each event.")] = (
        Secret("")
    )
    system_prefix: Annotated[
        str, Meta(description="What the short names of all identities begin with.")
    ] = "VCONTest"
    agreement_id: Annotated[
        str, Meta(description="The agreement of the events; all zeros is the one for auditing.")
    ] = "00000000-0000-0000-0000-000000000000"
    hash_event_data: Annotated[
        bool, Meta(description="Send the SHA-256 of the vCon, not the vCon itself.")
    ] = True
    dlq_vcon_on_error: Annotated[
        bool,
        Meta(
            description="Fail a vCon that cannot be traced: it is tried again, waits for the end "
            "of an outage, or becomes a dead letter. Else that is counted and logged."
        ),
    ] = False


class _Entity(msgspec.Struct):
    """What JLINC says of an identity."""

    did_doc: msgspec.Raw = msgspec.field(name="didDoc", default=msgspec.Raw(b""))


class _Created(msgspec.Struct):
    event_id: str = msgspec.field(name="eventId")


class _Produced(msgspec.Struct):
    """What JLINC says of an event."""

    created: _Created


class JlincTracer:
    """Produces an event for every passage, from the link that has run to the one that comes."""

    options: ClassVar[type[Options]] = JlincOptions

    def __init__(self, options: JlincOptions, resources: Resources) -> None:
        self.required = options.dlq_vcon_on_error
        self._options = options
        self._http = resources.http
        self._base = f"{options.data_store_api_url.rstrip('/')}/api/v1/data/"
        self._headers = {
            "authorization": f"Bearer {options.data_store_api_key.reveal()}",
            "content-type": "application/json",
        }
        self._archive = {
            "url": options.archive_api_url,
            "key": options.archive_api_key.reveal(),
        }
        self._domain = ""
        self._known: set[str] = set()
        self._settling = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, options: JlincOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the tracer on the shared HTTP client; JLINC is first asked when a vCon comes."""
        yield cls(options, resources)

    async def trace(self, passage: Passage) -> None:
        """Produce the event of a passage. Raises Retryable, Permanent."""
        sender, recipient = await self._names(passage)
        event = {
            "type": "data",
            "senderShortName": sender,
            "recipientShortName": recipient,
            "agreementId": self._options.agreement_id,
            "data": self._data(passage.document),
            "meta": {"in_vcon_uuid": passage.in_uuid, "out_vcon_uuid": passage.out_uuid},
            "archive": self._archive,
        }
        try:
            _read(await self._ask("event/produce", event), _Produced, "event/produce")
        except Permanent:
            # It may have forgotten whom we named: they are looked up again.
            self._known.clear()
            raise

    async def ping(self) -> None:
        """Ask for the domains, which every key may."""
        await self._domains()

    async def _names(self, passage: Passage) -> tuple[str, str]:
        """Sender and recipient; the system stands where there is no link."""
        if not self._domain:
            self._domain = await self._domains()
        names = self._short_name(passage.link), self._short_name(passage.next_link)
        for name in names:
            if name not in self._known:
                await self._settle(name)
        return names

    def _short_name(self, link: str) -> str:
        prefix = _plain(self._options.system_prefix)
        return f"{prefix}-{_plain(link) if link else 'system'}@{self._domain}"

    async def _settle(self, name: str) -> None:
        # Two at once would both find it missing, and the second could not make it.
        async with self._settling:
            if name not in self._known:
                if not await self._exists(name):
                    await self._create(name)
                self._known.add(name)

    async def _exists(self, name: str) -> bool:
        try:
            return await self._entity("get", name)
        except Permanent:
            # That may be how it says that there is none; if it is not, making it says so.
            return False

    async def _create(self, name: str) -> None:
        try:
            is_made = await self._entity("create", name)
        except Permanent:
            # Another replica may have been faster.
            if not await self._exists(name):
                raise
        else:
            if not is_made:
                raise Permanent("JLINC entity/create: the answer has no didDoc")

    async def _entity(self, verb: str, name: str) -> bool:
        path = f"entity/{verb}"
        answer = _read(await self._ask(path, {"shortName": name}), _Entity, path)
        return bytes(answer.did_doc) not in (b"", b"null")

    async def _domains(self) -> str:
        path = "entity/domains/get"
        domains = _read(await self._ask(path, {}), list[str], path)
        if not domains:
            raise Permanent(f"JLINC {path}: there is no domain")
        return domains[0]

    async def _ask(self, path: str, content: dict[str, Any]) -> bytes:
        body = msgspec.json.encode(content)
        return await self._http.ask(
            self._base + path,
            content=body,
            headers=self._headers,
            timeout=_SECONDS,
            # The answer has what was sent in it, and JSON can be written at more length.
            limit=ANSWER_LIMIT + 6 * len(body),
        )

    def _data(self, document: bytes) -> object:
        if not self._options.hash_event_data:
            return msgspec.Raw(document)
        return {"hash": hashlib.sha256(_hashed(document)).hexdigest()}


def _hashed(document: bytes) -> bytes:
    """What the reference hashes, however the JSON is spaced: an auditor has it of any copy."""
    try:
        return json.dumps(json.loads(document)).encode()
    except (ValueError, RecursionError):
        # JSON that Python cannot hold, such as a number of 5,000 digits.
        return document


def _plain(name: str) -> str:
    return _NO_NAME.sub("_", name.lower())


def _read(answer: bytes, kind: type[AnswerT], path: str) -> AnswerT:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Not with its text: an answer may quote what it was asked.
        raise Permanent(f"JLINC {path}: an answer that cannot be understood") from None
