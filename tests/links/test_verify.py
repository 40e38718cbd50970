"""The link `verify`, on signatures made here and on a published one."""

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jwk, jws

from vconflow.errors import Permanent
from vconflow.links import verify as verify_module
from vconflow.links.verification.signature import MOST_SIGNATURES, verify_signature
from vconflow.links.verify import VerifyLink, VerifyOptions
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome
from vconflow.testing.contracts import CannedFetcher, LinkContract, resources_for

NOW = 1_700_000_000.0  # of the contract's clock
UUID = new_uuid("test")
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Party:
    """Somebody with a key and a certificate, and the certificates that lead to an authority."""

    key: PrivateKey
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @property
    def x5c(self) -> list[str]:
        chain = (self.certificate, *self.above)
        return [base64.b64encode(item.public_bytes(Encoding.DER)).decode() for item in chain]

    def jwk(self) -> jwk.Key:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        kinds = {rsa.RSAPrivateKey: jwk.RSAKey, ec.EllipticCurvePrivateKey: jwk.ECKey}
        kind = next((k for c, k in kinds.items() if isinstance(self.key, c)), jwk.OKPKey)
        return kind.import_key(pem)


def certify(
    name: str,
    issuer: Party | None = None,
    *,
    key: PrivateKey | None = None,
    is_authority: bool = False,
    days: tuple[int, int] = (-10, 10),
    extensions: Sequence[x509.ExtensionType] = (),
) -> Party:
    """A certificate from `issuer`, by default from itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.fromtimestamp(NOW, UTC)
    above_key = issuer.key if issuer else key
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(above_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(authority_id, critical=False)
    )
    if is_authority:
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        usage = x509.KeyUsage(*[i in (5, 6) for i in range(9)])
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(usage, critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    algorithm = None if isinstance(above_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    above = () if issuer is None else (issuer.certificate, *issuer.above)
    return Party(key, builder.sign(above_key, algorithm), above)


ROOT = certify("root", is_authority=True)
MIDDLE = certify("middle", ROOT, is_authority=True)
SIGNER = certify("signer.example", MIDDLE)
STRANGER = certify("stranger", certify("other root", is_authority=True))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(uuid: str = UUID) -> bytes:
    return json.dumps(
        {"vcon": "0.0.1", "uuid": uuid, "created_at": "2024-05-06T07:08:09Z", "parties": []}
    ).encode()


def signature(
    party: Party, payload: bytes, alg: str = "ES256", *, above: str = "header", **protected: Any
) -> dict[str, Any]:
    """One of `signatures`; `above` is the header that gets the certificates, or `none`."""
    certificates = {"x5c": party.x5c}
    if above == "protected":
        protected |= certificates
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = 1_000_000
    compact = jws.serialize_compact(
        {"alg": alg, **protected}, payload, party.jwk(), registry=registry
    )
    head, _, tail = compact.split(".")
    header = {"uuid": UUID, "alg": alg} | (certificates if above == "header" else {})
    return {"protected": head, "header": header, "signature": tail}


def envelope(payload: bytes, *signatures: dict[str, Any]) -> bytes:
    return json.dumps({"payload": b64(payload), "signatures": list(signatures)}).encode()


def signed(party: Party = SIGNER, payload: bytes | None = None, **options: Any) -> bytes:
    payload = unsigned() if payload is None else payload
    return envelope(payload, signature(party, payload, **options))


def pem(path: Path, *parties: Party) -> str:
    file = path / "trusted.pem"
    file.write_bytes(b"".join(p.certificate.public_bytes(Encoding.PEM) for p in parties))
    return str(file)


Verify = Callable[..., Any]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """Run the link on a document; ROOT is trusted."""

    async def run(
        document: bytes, *trusted: Party, resources: Resources | None = None, **options: Any
    ) -> Outcome:
        options.setdefault("trusted", pem(tmp_path, *(trusted or (ROOT,))))
        opened = VerifyLink.open(VerifyOptions(**options), resources or resources_for(tmp_path))
        async with opened as link:
            vcon = Vcon(document)
            outcome = await link(vcon, LinkRun("verify", "main", "in", "1-0"))
            assert vcon.to_bytes() == document
            return outcome

    return run


class TestVerify(LinkContract):
    link_class = VerifyLink
    link_options: ClassVar[dict[str, Any]] = {"unsigned": "pass"}


@pytest.mark.parametrize("above", ["header", "protected"])
async def test_a_chain_to_a_trusted_authority(verify: Verify, above: str) -> None:
    assert await verify(signed(above=above)) == CONTINUE


async def test_a_trusted_certificate_needs_no_authority(verify: Verify) -> None:
    alone = certify("alone")
    assert await verify(signed(alone), alone) == CONTINUE


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("RS256", rsa.generate_private_key(65537, 2048)),
        ("PS512", rsa.generate_private_key(65537, 2048)),
        ("ES384", ec.generate_private_key(ec.SECP384R1())),
        ("ES512", ec.generate_private_key(ec.SECP521R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        ("Ed25519", ed25519.Ed25519PrivateKey.generate()),
    ],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # of signing by an old name
async def test_kinds_of_keys(verify: Verify, alg: str, key: PrivateKey) -> None:
    party = certify("of that kind", key=key)
    assert await verify(signed(party, alg=alg), party) == CONTINUE


async def test_certificates_for_mail_may_sign(verify: Verify) -> None:
    for_mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    party = certify("mail", MIDDLE, extensions=[for_mail])
    assert await verify(signed(party)) == CONTINUE


async def test_the_published_example(verify: Verify, shared_data: Path) -> None:
    document = (shared_data / "ietf" / "ab_call_ext_rec_signed.vcon").read_bytes()
    first = json.loads(document)["signatures"][0]["header"]["x5c"][0]
    signer = x509.load_der_x509_certificate(base64.b64decode(first))
    assert await verify(document, Party(SIGNER.key, signer)) == CONTINUE
    with pytest.raises(Permanent, match="no chain"):
        await verify(document)


async def test_a_packed_payload(verify: Verify) -> None:
    assert await verify(signed(payload=gzip.compress(unsigned()))) == CONTINUE
    with pytest.raises(Permanent, match="too much"):
        await verify(signed(payload=gzip.compress(b" " * 70_000_000)))


async def test_layers_are_all_checked(verify: Verify) -> None:
    assert await verify(signed(payload=signed())) == CONTINUE
    with pytest.raises(Permanent, match="no chain"):
        await verify(signed(payload=signed(STRANGER)))
    document = unsigned()
    for _ in range(5):
        document = signed(payload=document)
    with pytest.raises(Permanent, match="inside each other"):
        await verify(document)


def tampered(document: bytes, part: str) -> bytes:
    jws_ = json.loads(document)
    holder = jws_ if part == "payload" else jws_["signatures"][0]
    text = holder[part]
    holder[part] = text[:10] + ("A" if text[10] != "A" else "B") + text[11:]
    return json.dumps(jws_).encode()


@pytest.mark.parametrize("part", ["payload", "protected", "signature"])
async def test_what_was_changed_does_not_hold(verify: Verify, part: str) -> None:
    with pytest.raises(Permanent):
        await verify(tampered(signed(above="header"), part))


async def test_a_stranger_is_not_trusted(verify: Verify) -> None:
    with pytest.raises(Permanent, match="no chain"):
        await verify(signed(STRANGER))
    # Nor does somebody else's certificate help with a key of one's own.
    with pytest.raises(Permanent, match="does not hold"):
        await verify(signed(Party(STRANGER.key, SIGNER.certificate, SIGNER.above)))


@pytest.mark.parametrize("days", [(-20, -10), (10, 20)])
async def test_certificates_have_their_time(verify: Verify, days: tuple[int, int]) -> None:
    with pytest.raises(Permanent, match="no chain"):
        await verify(signed(certify("late", MIDDLE, days=days)))
    alone = certify("alone", days=days)
    with pytest.raises(Permanent, match="not valid now"):
        await verify(signed(alone), alone)


async def test_a_signer_is_no_authority(verify: Verify) -> None:
    with pytest.raises(Permanent, match="no chain"):
        await verify(signed(certify("below", SIGNER)))


async def test_only_named_signers(verify: Verify) -> None:
    assert await verify(signed(), signers=("SIGNER.example",)) == CONTINUE
    with pytest.raises(Permanent, match="names"):
        await verify(signed(), signers=("other.example",))
    names = x509.SubjectAlternativeName([x509.RFC822Name("ann@example.org")])
    ann = certify("Ann", MIDDLE, extensions=[names])
    assert await verify(signed(ann), signers=("ann@example.org",)) == CONTINUE


async def test_a_public_key_is_no_shared_secret(verify: Verify) -> None:
    pem_ = SIGNER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    payload = unsigned()
    secret = jwk.OctKey.import_key(base64.b64encode(pem_))
    compact = jws.serialize_compact({"alg": "HS256"}, payload, secret)
    head, _, tail = compact.split(".")
    forged = {"protected": head, "header": {"x5c": SIGNER.x5c}, "signature": tail}
    with pytest.raises(Permanent, match="algorithm"):
        await verify(envelope(payload, forged))


@pytest.mark.parametrize("alg", ["none", "HS256", "", None, 5, ["ES256"]])
async def test_algorithms_that_never_count(verify: Verify, alg: Any) -> None:
    one = signature(SIGNER, unsigned()) | {"protected": b64(json.dumps({"alg": alg}).encode())}
    # Nor does what the header that nobody signed says.
    one["header"]["alg"] = "ES256"
    with pytest.raises(Permanent, match="algorithm"):
        await verify(envelope(unsigned(), one))


async def test_the_algorithms_can_be_chosen(verify: Verify) -> None:
    with pytest.raises(Permanent, match="algorithm"):
        await verify(signed(), algorithms=("RS256",))


async def test_a_weak_key(verify: Verify) -> None:
    weak = certify("weak", key=rsa.generate_private_key(65537, 1024))
    payload = unsigned()
    one = signature(SIGNER, payload) | {"protected": b64(b'{"alg":"RS256"}')}
    one["header"]["x5c"] = weak.x5c
    with pytest.raises(Permanent, match="bits"):
        await verify(envelope(payload, one), weak)


async def test_one_good_signature_or_all(verify: Verify) -> None:
    payload = unsigned()
    bad, good = signature(STRANGER, payload), signature(SIGNER, payload)
    for order in ([bad, good], [good, bad]):
        assert await verify(envelope(payload, *order)) == CONTINUE
        with pytest.raises(Permanent, match="no chain"):
            await verify(envelope(payload, *order), signatures="all")
    assert await verify(envelope(payload, good, good), signatures="all") == CONTINUE


async def test_any_good_signature_is_enough_without_a_look_at_those_behind_it(
    verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def counted(*given: Any) -> bytes:
        nonlocal looks
        looks += 1
        return verify_signature(*given)

    monkeypatch.setattr(verify_module, "verify_signature", counted)
    payload = unsigned()
    one = signature(SIGNER, payload)
    assert await verify(envelope(payload, one, one, one)) == CONTINUE
    assert looks == 1


async def test_signatures_are_limited(verify: Verify) -> None:
    """Each costs a look at all of the payload, and maybe a download."""
    payload = unsigned()
    one = signature(SIGNER, payload)
    assert await verify(envelope(payload, *[one] * MOST_SIGNATURES), signatures="all") == CONTINUE
    for which in ("any", "all"):
        with pytest.raises(Permanent, match="more than 10 signatures"):
            await verify(envelope(payload, *[one] * (MOST_SIGNATURES + 1)), signatures=which)


async def test_the_uuid_outside_must_be_the_one_inside(verify: Verify) -> None:
    with pytest.raises(Permanent, match="another uuid"):
        await verify(signed(payload=unsigned(new_uuid("other"))))


async def test_what_was_signed_must_be_a_vcon(verify: Verify) -> None:
    with pytest.raises(Permanent, match="no vCon"):
        await verify(signed(payload=b"[]"))


@pytest.mark.parametrize("x5c", [None, [], ["!"], ["AAAA"], [5], "text", [{"a": 1}], ["AAAA"] * 11])
async def test_certificates_that_are_none(verify: Verify, x5c: Any) -> None:
    one = signature(SIGNER, unsigned())
    one["header"]["x5c"] = x5c
    with pytest.raises(Permanent, match=r"x5c|certificate"):
        await verify(envelope(unsigned(), one))


async def test_a_certificate_by_url(verify: Verify, tmp_path: Path) -> None:
    resources = resources_for(tmp_path)
    assert isinstance(resources.fetcher, CannedFetcher)
    chain = b"".join(c.public_bytes(Encoding.PEM) for c in (SIGNER.certificate, *SIGNER.above))
    resources.fetcher.bodies = {
        "https://a.example/chain": chain,
        "https://a.example/der": SIGNER.certificate.public_bytes(Encoding.DER),
        "https://a.example/junk": b"-----BEGIN junk",
    }

    async def by_url(path: str, *trusted: Party, fetch: bool = True) -> Outcome:
        document = signed(above="none", x5u=f"https://a.example/{path}")
        options = {"fetch_certificates": fetch, "resources": resources}
        found: Outcome = await verify(document, *trusted, **options)
        return found

    assert await by_url("chain") == CONTINUE
    assert await by_url("der", SIGNER) == CONTINUE
    with pytest.raises(Permanent, match="cannot be read"):
        await by_url("junk")
    with pytest.raises(Permanent, match="nothing there"):
        await by_url("missing")
    with pytest.raises(Permanent, match="fetch_certificates"):
        await by_url("chain", fetch=False)


async def test_what_becomes_of_others(verify: Verify) -> None:
    assert await verify(unsigned(), unsigned="pass") == CONTINUE
    assert await verify(unsigned(), unsigned="halt") == Halt("the vCon is unsigned")
    with pytest.raises(Permanent, match="unsigned"):
        await verify(unsigned())
    outcome = await verify(signed(STRANGER), unverified="halt")
    assert isinstance(outcome, Halt)


async def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("missing.pem", "empty.pem"):
        opened = VerifyLink.open(
            VerifyOptions(trusted=str(tmp_path / name)), resources_for(tmp_path)
        )
        with pytest.raises((OSError, ValueError)):
            await opened.__aenter__()
