"""Headers that keep browsers from doing harm with an answer, and caches from keeping it."""

from collections.abc import Iterable

__all__ = ["SecurityHeaders", "security_headers"]

Headers = Iterable[tuple[bytes, bytes]]

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
# Unless the answer says something of its own.
_CSP = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_CACHE = (b"cache-control", b"no-store")
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def security_headers(stamps: Headers, scheme: str) -> tuple[tuple[bytes, bytes], ...]:
    """What an answer has that says nothing of its own, besides `stamps`."""
    return (*stamps, *_ALWAYS, *((_HSTS,) if scheme == "https" else ()), _CSP, _CACHE)


class SecurityHeaders:
    """What is added to the headers of every answer, besides `stamps`.

    `lines` are all of them as they are written, by scheme, for an answer that has none of its own.
    """

    def __init__(self, stamps: Headers) -> None:
        plain = (*stamps, *_ALWAYS)
        self._by_scheme = {"http": plain, "https": (*plain, _HSTS)}
        self.lines = {
            scheme: b"".join(b"%s: %s\r\n" % header for header in (*headers, _CSP, _CACHE))
            for scheme, headers in self._by_scheme.items()
        }

    def added_to(self, headers: Headers, scheme: str) -> list[tuple[bytes, bytes]]:
        """Return the headers with what they lack; `http` and `https` are the schemes."""
        # A proxy may say `wss`, for what that is worth.
        plain = self._by_scheme["http"]
        found = [*headers, *self._by_scheme.get(scheme, plain), _CSP, _CACHE]
        for name, _ in headers:
            if name == _CSP[0]:
                found.remove(_CSP)
            elif name == _CACHE[0]:
                found.remove(_CACHE)
        return found
