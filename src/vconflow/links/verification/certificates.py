"""Whose signature it is: certificates, and the chain to one that is trusted."""

import base64
import binascii
import ssl
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from vconflow.errors import Permanent

__all__ = ["Trust", "from_url", "from_x5c", "load_trusted"]

MOST_CERTIFICATES = 10
"""In one header; a chain of a real signer has two or three."""


def load_trusted(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, or those of the system for an empty path.

    Raises OSError, or ValueError for a file without certificates.
    """
    if path:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    return [certificate for der in found if (certificate := _authority(der)) is not None]


def _authority(der: bytes) -> x509.Certificate | None:
    """One of the system's; None for those that break the rules, of which there are some."""
    with warnings.catch_warnings(action="error"):
        try:
            return x509.load_der_x509_certificate(der)
        except (ValueError, CryptographyDeprecationWarning):
            return None


def from_x5c(texts: Sequence[object]) -> list[x509.Certificate]:
    """The certificates of a header, that of the signer first. Raises Permanent."""
    if not texts or len(texts) > MOST_CERTIFICATES:
        raise Permanent(f"x5c must hold 1 to {MOST_CERTIFICATES} certificates")
    return [_from_der(_decoded(text)) for text in texts]


def from_url(body: bytes) -> list[x509.Certificate]:
    """What `x5u` leads to: PEM, that of the signer first, or one as DER. Raises Permanent."""
    if not body.lstrip().startswith(b"-----BEGIN"):
        return [_from_der(body)]
    try:
        return x509.load_pem_x509_certificates(body)[:MOST_CERTIFICATES]
    except ValueError:
        raise Permanent("the certificates that x5u names cannot be read") from None


def _from_der(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise Permanent("a certificate cannot be read") from None


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        raise Permanent("a certificate in x5c is not base64") from None


class Trust:
    """Decides whether a certificate may sign vCons.

    Trusted are the certificates given, and those that a chain leads from to one of them. With
    `signers`, one of its names must be among them: of its subject alternative names (DNS, e-mail,
    URI), or its common name. Revocation is not checked.
    """

    def __init__(self, trusted: Sequence[x509.Certificate], signers: Sequence[str] = ()) -> None:
        self._trusted = frozenset(trusted)
        self._store = verification.Store(list(trusted)) if trusted else None
        self._signers = frozenset(name.lower() for name in signers)

    def check(self, chain: Sequence[x509.Certificate], at: datetime) -> None:
        """Raise Permanent unless the first of `chain` is trusted at that time."""
        signer = chain[0]
        if self._signers and not self._signers & _names(signer):
            raise Permanent("the certificate has none of the names that may sign")
        if signer in self._trusted:
            if not signer.not_valid_before_utc <= at <= signer.not_valid_after_utc:
                raise Permanent("the certificate is not valid now")
            return
        if self._store is None:
            raise Permanent("no certificate is trusted")
        # The rules for web servers ask for a host name, which a signer need not have.
        builder = verification.PolicyBuilder().store(self._store).time(at)
        verifier = builder.extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        ).build_client_verifier()
        try:
            verifier.verify(signer, list(chain[1:]))
        except verification.VerificationError:
            raise Permanent("no chain leads from the certificate to a trusted one") from None


def _names(certificate: x509.Certificate) -> frozenset[str]:
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    names = [str(attribute.value) for attribute in common]
    try:
        alternatives = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset(name.lower() for name in names)
    for kind in (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier):
        names += alternatives.get_values_for_type(kind)
    return frozenset(name.lower() for name in names)
