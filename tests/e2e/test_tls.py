"""The API over TLS, in a process of its own."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from vconflow_process import vconflow

from certificates import Authority
from vconflow.client import Client, GaveUp
from vconflow.errors import ConfigError
from vconflow.server.tls import Tls, tls_of
from vconflow.settings import Settings

CONFIG: dict[str, Any] = {"chains": {"main": {"ingress_lists": ["inbox"], "links": []}}}


def trusting(authority: Authority, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


async def test_tls_with_client_certificates_and_a_new_certificate_without_a_restart(
    tmp_path: Path,
) -> None:
    authority, clients = Authority("ours"), Authority("clients")
    cert, key, serial = authority.issue(tmp_path, "server", password="sesame")
    ca_file = tmp_path / "clients.pem"
    ca_file.write_bytes(clients.pem)
    client_cert, client_key, _ = clients.issue(tmp_path, "client")
    environment = {
        "VCONFLOW_TLS_CERTFILE": str(cert),
        "VCONFLOW_TLS_KEYFILE": str(key),
        "VCONFLOW_TLS_KEY_PASSWORD": "sesame",
        "VCONFLOW_TLS_CA_CERTS": str(ca_file),
        "CONSERVER_API_TOKEN": "token",
    }
    known = trusting(authority)
    known.load_cert_chain(client_cert, client_key)
    async with vconflow(tmp_path / "run", CONFIG, **environment) as process:
        assert process.url.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(verify=known, base_url=process.url) as client:
            response = await client.get("/ready")
            assert response.status_code == 200
            assert "strict-transport-security" in response.headers
            wrong = {"x-conserver-api-token": "wrong"}
            refused = await client.post("/vcon", content=b"x" * 900_000, headers=wrong)
            assert refused.status_code == 403
            early = await client.get("/ready", headers={"x": "a" * 70_000})
            assert early.status_code == 431
            assert "strict-transport-security" in early.headers
        strange = trusting(authority)
        async with httpx.AsyncClient(verify=strange, base_url=process.url) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/ready")
        port = int(process.url.rpartition(":")[2])
        assert await presented(port, known) == serial
        _, _, renewed = authority.issue(tmp_path, "server", password="sesame")
        async with asyncio.timeout(60):
            while await presented(port, known) != renewed:
                await asyncio.sleep(0.2)
        key.write_text("damaged")
        async with asyncio.timeout(60):
            while "certificate_unusable" not in process.log.read_text():
                await asyncio.sleep(0.2)
        assert await presented(port, known) == renewed
        assert "sesame" not in process.log.read_text()


async def test_the_commands_trust_the_authorities_of_ssl_cert_file_on_loopback_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority("ours")
    cert, key, _ = authority.issue(tmp_path, "server")
    environment = {
        "VCONFLOW_TLS_CERTFILE": str(cert),
        "VCONFLOW_TLS_KEYFILE": str(key),
        "CONSERVER_API_TOKEN": "token",
    }
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.pem)
    async with vconflow(tmp_path / "run", CONFIG, **environment) as process:
        with pytest.raises(GaveUp, match="CERTIFICATE_VERIFY_FAILED"):
            await chains_of(process.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert await chains_of(process.url) == ["main"]


async def chains_of(url: str) -> list[str]:
    async with Client.open(url, token="token", attempts=1) as client:
        return [chain["name"] for chain in await client.chains.list()]


async def presented(port: int, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that the server shows."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(der).serial_number


@pytest.mark.parametrize(
    ("least", "offered", "works"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.2", ssl.TLSVersion.TLSv1_3, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
async def test_old_versions_are_not_spoken(
    tmp_path: Path, least: Any, offered: ssl.TLSVersion, works: bool
) -> None:
    authority = Authority("ours")
    cert, key, _ = authority.issue(tmp_path, "server")
    settings = Settings(
        vconflow_tls_certfile=cert, vconflow_tls_keyfile=key, vconflow_tls_min_version=least
    )
    tls = await asyncio.to_thread(tls_of, settings)
    assert tls is not None
    assert tls.context.minimum_version >= ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=tls.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        if works:
            await presented(port, trusting(authority, offered))
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await presented(port, trusting(authority, offered))


def test_files_that_cannot_be_used_are_a_configuration_error(tmp_path: Path) -> None:
    authority = Authority("ours")
    cert, _, _ = authority.issue(tmp_path, "one")
    _, other_key, _ = authority.issue(tmp_path, "two")
    _, locked, _ = authority.issue(tmp_path, "three", password="sesame")
    for certfile, keyfile in ((tmp_path / "none", None), (cert, other_key), (cert, locked)):
        settings = Settings(vconflow_tls_certfile=certfile, vconflow_tls_keyfile=keyfile)
        with pytest.raises(ConfigError, match="VCONFLOW_TLS_CERTFILE: TLS cannot be set up"):
            tls_of(settings)
    with pytest.raises(ConfigError, match="VCONFLOW_TLS_KEYFILE: means nothing without"):
        tls_of(Settings(vconflow_tls_keyfile=other_key))
    assert tls_of(Settings()) is None


async def test_a_key_that_does_not_fit_its_new_certificate_changes_nothing(tmp_path: Path) -> None:
    authority = Authority("ours")
    cert, key, serial = authority.issue(tmp_path, "server")
    settings = Settings(vconflow_tls_certfile=cert, vconflow_tls_keyfile=key)
    tls = await asyncio.to_thread(Tls, settings)
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=tls.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        old_key = key.read_bytes()
        authority.issue(tmp_path, "server")
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        await tls.reload()
        assert await presented(port, trusting(authority)) == serial
        key.write_bytes(new_key)
        await tls.reload()
        assert await presented(port, trusting(authority)) != serial
