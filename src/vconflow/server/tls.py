"""TLS for the API: the settings as a context, which follows its files."""

import asyncio
import ssl
from pathlib import Path

from vconflow.errors import ConfigError, Problem
from vconflow.settings import Settings
from vconflow.telemetry import events

__all__ = ["Tls", "tls_of"]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_Stamp = tuple[tuple[int, int, int], ...]


class Tls:
    """`context` is for the server; what `reload` reads counts for connections from then on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stamp = self._stamp_now()
        self.context = self._load()

    async def reload(self) -> None:
        """Use the certificate and key of now, if the files have changed and fit each other."""
        await asyncio.to_thread(self._reload)

    def _reload(self) -> None:
        try:
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            # Tried first where a key that does not fit its certificate can do no harm.
            self._load()
            self._fill(self.context)
        except OSError as error:  # ssl.SSLError is one
            events.certificate_loaded(self._names, error)
        else:
            events.certificate_loaded(self._names)

    @property
    def _files(self) -> list[Path]:
        settings = self._settings
        files = (settings.vconflow_tls_certfile, settings.vconflow_tls_keyfile)
        return [file for file in files if file]

    @property
    def _names(self) -> list[str]:
        return [str(file) for file in self._files]

    def _stamp_now(self) -> _Stamp:
        stats = [file.stat() for file in self._files]
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.vconflow_tls_min_version]
        if settings.vconflow_tls_ciphers:
            context.set_ciphers(settings.vconflow_tls_ciphers)
        if settings.vconflow_tls_ca_certs:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings.vconflow_tls_ca_certs)
        self._fill(context)
        return context

    def _fill(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        assert settings.vconflow_tls_certfile is not None
        password = settings.vconflow_tls_key_password
        context.load_cert_chain(
            settings.vconflow_tls_certfile,
            settings.vconflow_tls_keyfile,
            # Never asks the terminal for one.
            password=password.reveal() if password else "",
        )


def tls_of(settings: Settings) -> Tls | None:
    """TLS as the settings want it, None if they do not. Raises ConfigError for unusable files."""
    if settings.vconflow_tls_certfile is None:
        for name in ("keyfile", "ca_certs"):
            if getattr(settings, f"vconflow_tls_{name}"):
                message = "means nothing without VCONFLOW_TLS_CERTFILE"
                variable = f"VCONFLOW_TLS_{name.upper()}"
                raise ConfigError([Problem((variable,), message, "tls")])
        return None
    try:
        return Tls(settings)
    except OSError as error:
        message = f"TLS cannot be set up: {error.strerror or type(error).__name__}"
        raise ConfigError([Problem(("VCONFLOW_TLS_CERTFILE",), message, "tls")]) from error
