"""Who may call: the keys of the settings, of a file, and of the configuration."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vconflow.api.access import ANYONE, Caller, KeyRing, api_ring, partner_rings
from vconflow.api.key_file import KeyFile
from vconflow.api.refusals import Forbidden
from vconflow.errors import Unavailable
from vconflow.ports.access import AccessRules, Role
from vconflow.ports.component import Secret

__all__ = ["Authenticator"]

_MAIN = Caller("main", Role.ADMIN)
_NO_RULES = AccessRules()


class Authenticator:
    """Finds whose key a request carries, in constant time over all keys.

    While no key of the API has been configured everyone is let in, but not as a partner. A
    configured key file that is empty lets nobody in by it. `rules` gives the part of the
    configuration; it is asked at every request and returns another object when something has
    changed.
    """

    def __init__(
        self,
        header: str,
        token: Secret | None,
        token_file: Path | str | None,
        rules: Callable[[], AccessRules] = lambda: _NO_RULES,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._header = header.lower().encode("latin-1")
        self._fixed = [(token.reveal(), _MAIN)] if token and token.reveal() else []
        self._file = (
            KeyFile(Path(token_file), monotonic=monotonic, wall=wall) if token_file else None
        )
        self._is_open = not self._fixed and self._file is None
        self._current = rules
        self._known: AccessRules | None = None
        self._ring = KeyRing(())
        self._partners: Mapping[str, KeyRing] = {}

    def key_of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """The key that a request carries, empty if none."""
        return headers.get(self._header, b"")

    async def find(self, key: bytes) -> Caller | None:
        """Return whose key of the API this is. Raises Unavailable before the file could be read."""
        self._refresh()
        if self._is_open:
            return ANYONE
        if self._file is not None and self._file.is_due:
            await self._look(self._file)
        found = self._ring.find(key)
        if found is not None or self._file is None or not key:
            return found
        # The key may have been added just now: a client that is refused drops its data.
        await self._look(self._file)
        found = self._ring.find(key)
        if found is None and not self._file.was_read:
            raise Unavailable("The API keys cannot be read now")
        return found

    async def admit(self, headers: Mapping[bytes, bytes]) -> Caller:
        """The same for the key in the headers. Raises Forbidden when it is nobody's."""
        found = await self.find(self.key_of(headers))
        if found is None:
            raise Forbidden("Invalid API Key")
        return found

    def partner_ring(self, list_name: str) -> KeyRing:
        """The partner keys of a list. Raises Forbidden when it has none."""
        self._refresh()
        if not self._partners:
            raise Forbidden("No ingress authentication configured")
        ring = self._partners.get(list_name)
        if ring is None:
            raise Forbidden(f"Ingress list '{list_name}' not configured")
        return ring

    @property
    def _rules(self) -> AccessRules:
        assert self._known is not None
        return self._known

    def _refresh(self) -> None:
        rules = self._current()
        if rules is not self._known:
            # Taking the last key out of the configuration must not open the API to everybody.
            self._is_open = self._is_open and not rules.api_keys
            self._known = rules
            self._partners = partner_rings(rules)
            self._build()

    async def _look(self, file: KeyFile) -> None:
        if await file.look_again():
            self._build()

    def _build(self) -> None:
        of_file = self._file.keys.items() if self._file else ()
        fixed = [(key, Caller(name, Role.ADMIN)) for key, name in of_file]
        self._ring = api_ring([*fixed, *self._fixed], self._rules.api_keys)
