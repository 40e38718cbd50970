"""Verify: let only signed vCons pass whose signature holds and whose signer is trusted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from cryptography.x509 import Certificate
from msgspec import Meta

from vconflow.errors import InvalidVcon, Permanent
from vconflow.links.verification.certificates import Trust, from_url, from_x5c, load_trusted
from vconflow.links.verification.signature import (
    ALGORITHMS,
    Algorithm,
    Signature,
    decode_envelope,
    verify_signature,
)
from vconflow.model.envelope import MAX_NESTING, read_protected, unpacked
from vconflow.model.validation import validate
from vconflow.model.vcon import Vcon
from vconflow.ports.clock import Clock
from vconflow.ports.component import LOCAL_PATH, Options, Resources
from vconflow.ports.fetcher import Fetcher
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome

__all__ = ["VerifyLink", "VerifyOptions"]

_LARGEST_CERTIFICATE = 64 * 1024
_FETCH_SECONDS = 10.0


class VerifyOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `verify`."""

    trusted: Annotated[
        str,
        Meta(
            description="A PEM file of certificates that are trusted, each as a signer and as an "
            "authority. Unset: the authorities of the system; then name the `signers`.",
            extra={LOCAL_PATH: True},
        ),
    ] = ""
    signers: Annotated[
        tuple[str, ...],
        Meta(
            description="Who may sign: alternative names (DNS, e-mail, URI) or common names of "
            "certificates. Empty: everybody whose certificate is trusted."
        ),
    ] = ()
    algorithms: Annotated[
        tuple[Algorithm, ...], Meta(description="The JWS algorithms that count.", min_length=1)
    ] = ALGORITHMS
    signatures: Annotated[
        Literal["any", "all"], Meta(description="Whether one good signature is enough.")
    ] = "any"
    unverified: Annotated[
        Literal["fail", "halt"],
        Meta(
            description="What becomes of a vCon whose signature does not hold: `fail` makes it "
            "a dead letter, `halt` ends its chain."
        ),
    ] = "fail"
    unsigned: Annotated[
        Literal["fail", "halt", "pass"],
        Meta(description="What becomes of a vCon that is not signed, or encrypted."),
    ] = "fail"
    fetch_certificates: Annotated[
        bool,
        Meta(description="Fetch the certificate that `x5u` names when there is no `x5c`."),
    ] = False


class VerifyLink:
    """Checks the signature of a signed vCon (JWS with x5c) and whether its signer is trusted."""

    options: ClassVar[type[Options]] = VerifyOptions

    def __init__(
        self, options: VerifyOptions, trust: Trust, fetcher: Fetcher, clock: Clock
    ) -> None:
        self._options = options
        self._trust = trust
        self._fetcher = fetcher
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, options: VerifyOptions, resources: Resources) -> AsyncIterator[Self]:
        """Read the trusted certificates. Raises OSError or ValueError."""
        trusted = await asyncio.to_thread(load_trusted, options.trusted)
        trust = Trust(trusted, options.signers)
        yield cls(options, trust, resources.fetcher, resources.clock)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Continue, halt, or raise Permanent with what does not hold."""
        if vcon.form != "signed":
            return self._refuse(self._options.unsigned, f"the vCon is {vcon.form}")
        try:
            await self._verify(vcon.to_bytes(), vcon.uuid, 1)
        except Permanent as error:
            return self._refuse(self._options.unverified, str(error))
        return CONTINUE

    def _refuse(self, how: Literal["fail", "halt", "pass"], why: str) -> Outcome:
        if how == "fail":
            raise Permanent(why)
        return Halt(why) if how == "halt" else CONTINUE

    async def _verify(self, document: bytes, uuid: str, depth: int) -> None:
        """Check every layer: what is inside may be signed again."""
        payload = await self._payload(document)
        try:
            facts = await asyncio.to_thread(validate, payload)
        except InvalidVcon:
            raise Permanent("what was signed is no vCon") from None
        # The uuid it travels under is in a header that nobody need have signed.
        if facts.uuid != uuid:
            raise Permanent("what was signed has another uuid")
        if facts.form == "signed":
            if depth == MAX_NESTING:
                raise Permanent("too many signatures inside each other")
            await self._verify(payload, uuid, depth + 1)

    async def _payload(self, document: bytes) -> bytes:
        envelope = await asyncio.to_thread(decode_envelope, document)
        verified: bytes | None = None
        failure = Permanent("a signed vCon needs a signature")
        for signature in envelope.signatures:
            try:
                verified = await self._check(envelope.payload, signature)
            except Permanent as error:
                if self._options.signatures == "all":
                    raise
                failure = error
            else:
                if self._options.signatures == "any":
                    break
        if verified is None:
            raise failure
        try:
            return await asyncio.to_thread(unpacked, verified)
        except InvalidVcon as error:
            raise Permanent(str(error)) from None

    async def _check(self, payload: str, signature: Signature) -> bytes:
        header = read_protected(signature.protected)
        if header.get("alg") not in self._options.algorithms:
            raise Permanent("the algorithm of the signature is not among those that count")
        chain = await self._chain(header, signature.header)
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        await asyncio.to_thread(self._trust.check, chain, now)
        return await asyncio.to_thread(
            verify_signature, payload, signature, chain[0], self._options.algorithms
        )

    async def _chain(
        self, signed: Mapping[str, Any], unsigned: Mapping[str, Any]
    ) -> list[Certificate]:
        # The certificate vouches for itself by its chain: it may stand in either header.
        found = signed.get("x5c", unsigned.get("x5c"))
        if isinstance(found, list):
            return from_x5c(found)
        url = signed.get("x5u", unsigned.get("x5u"))
        if not isinstance(url, str):
            raise Permanent("the signature comes without a certificate (x5c)")
        if not self._options.fetch_certificates:
            raise Permanent("its certificate would have to be fetched: see fetch_certificates")
        body = await self._fetcher.fetch(url, limit=_LARGEST_CERTIFICATE, timeout=_FETCH_SECONDS)
        return from_url(body)
