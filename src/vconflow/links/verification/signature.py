"""JWS in the General JSON form: each signature over the very text that was signed.

joserfc checks each as a compact JWS, which consists of the protected header, the payload and the
signature: published vCons repeat names in the unprotected header, which it would refuse, and
nothing there is signed anyway.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwk, jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel

from vconflow.errors import Permanent

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Envelope",
    "Signature",
    "decode_envelope",
    "verify_signature",
]

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
    "EdDSA",
]  # fmt: skip
"""Only those with a public key: one that everybody knows must never count as a shared secret."""
ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)

MOST_SIGNATURES: Final = 10
"""Each costs a look at all of the payload, and a download where certificates are fetched."""

_LEAST_RSA_BITS = 2048
_LARGEST = 256 * 1024 * 1024
_LONGEST_HEADER = 256 * 1024


class Signature(msgspec.Struct):
    """One of `signatures`. `header` is not signed."""

    protected: str = ""
    signature: str = ""
    header: dict[str, Any] = {}


class Envelope(msgspec.Struct):
    """A signed vCon. `payload` is base64url text."""

    payload: str
    signatures: list[Signature]


class _Registry(jws.JWSRegistry):
    """Sizes for conversations: recordings may be in the payload, certificates in the header."""

    max_header_length = _LONGEST_HEADER
    max_payload_length = _LARGEST
    max_signature_length = 64 * 1024

    def get_alg(self, name: str) -> JWSAlgModel:
        """The algorithm of that name, if it is allowed; joserfc warns of EdDSA's old name."""
        if self.allowed is None or name not in self.allowed:
            raise UnsupportedAlgorithmError("not allowed")
        return self.algorithms[name]


_decode_envelope = msgspec.json.Decoder(Envelope).decode


def decode_envelope(document: bytes) -> Envelope:
    """The JWS of a signed vCon. Raises Permanent."""
    try:
        envelope = _decode_envelope(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Permanent("the signed vCon is no JWS in the General JSON form") from None
    if len(envelope.signatures) > MOST_SIGNATURES:
        raise Permanent(f"the signed vCon has more than {MOST_SIGNATURES} signatures")
    return envelope


def verify_signature(
    payload: str, signature: Signature, signer: x509.Certificate, algorithms: Sequence[str]
) -> bytes:
    """The payload's bytes, when the signature is that of the certificate. Raises Permanent."""
    compact = f"{signature.protected}.{payload}.{signature.signature}"
    registry = _Registry(algorithms=algorithms, strict_check_header=False)
    try:
        verified = jws.deserialize_compact(compact, _key_of(signer), registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        # Without its words: they may quote the header.
        raise Permanent(f"the signature does not hold: {type(error).__name__}") from None
    return verified.payload


def _key_of(certificate: x509.Certificate) -> jwk.Key:
    key = certificate.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise Permanent(f"the RSA key has fewer than {_LEAST_RSA_BITS} bits")
        return jwk.RSAKey.import_key(pem)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return jwk.ECKey.import_key(pem)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return jwk.OKPKey.import_key(pem)
    raise Permanent("the certificate's kind of key signs no JWS")
