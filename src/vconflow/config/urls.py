"""Hiding what is secret in URLs: user name and password, parameters, and paths of some."""

import re

from vconflow.config.expansion import REFERENCE
from vconflow.ports.redaction import MASK, TELLING

__all__ = ["has_broken_password", "is_reference", "mask_credentials", "mask_secret_url"]

_SCHEME = r"[A-Za-z][\w+.-]{0,30}://"
_EACH = re.compile(rf"({_SCHEME})([^/?#\s]*)((?:(?!{_SCHEME})\S)*)")
"""Every URL of a text, also where one stands in another: scheme, authority and what is behind."""
_BRACKETS = re.compile(r"\[[^]]*\]")
_NO_PORT = re.compile(r"https?://[^][@:/?#\s]+:(?!\{[^{}@]*\})([^@/?#\s]*)[/?#]\S*@", re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}")
_PARAMETER = re.compile(r"(?<=[?&])([^=&?#\s]*)=([^&#\s]*)")
_URL = re.compile(
    r"(?P<site>(?:[A-Za-z][\w+.-]*://)?[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)


def has_broken_password(text: str) -> bool:
    """Whether a text is a URL of HTTP with a password that holds a `/` or the like.

    Then the begin of the password stands in place of a port, and whoever opens it would quote that.
    """
    found = _NO_PORT.match(text)
    return found is not None and not (_PORT.fullmatch(found[1]) and int(found[1]) <= 65535)


def is_reference(text: str) -> bool:
    """Whether a text is nothing but `${NAME}`, which names a credential without being it."""
    found = REFERENCE.fullmatch(text)
    return found is not None and not found["escaped"] and found["default"] is None


def mask_credentials(text: str) -> str:
    """Mask user names, passwords, and parameters whose name speaks of a credential, in every URL
    of a text; all behind the scheme where nobody can tell whether a password goes on.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(_mask_telling, _EACH.sub(_mask_userinfo, text))


def mask_secret_url(text: str) -> str:
    """Mask all of one URL that may be a secret: everything but scheme, host and port, and these too
    where nobody can tell whether a password goes on.
    """
    if is_reference(text):
        return text
    found = _URL.fullmatch(text)
    assert found is not None
    scheme, mark, rest = found["site"].rpartition("://")
    if _goes_on(rest, found["path"] + found["rest"]):
        return f"{scheme}{mark}{MASK}"
    userinfo, at, host = rest.rpartition("@")
    path = "/".join(map(_mask_part, found["path"].split("/")))
    query, sharp, fragment = found["rest"].partition("#")
    query = _PARAMETER.sub(_mask_value, query) if "=" in query else _after("?", query)
    return (
        f"{scheme}{mark}{_mask_part(userinfo)}{at}{host}{path}{query}{sharp}{_mask_part(fragment)}"
    )


def _after(mark: str, text: str) -> str:
    return mark + _mask_part(text[1:]) if text else ""


def _mask_part(text: str) -> str:
    return text if not text or is_reference(text) else MASK


def _mask_userinfo(found: re.Match[str]) -> str:
    scheme, authority, behind = found.groups()
    if _goes_on(authority, behind):
        return f"{scheme}{MASK}"
    userinfo, at, host = authority.rpartition("@")
    return f"{scheme}{_mask_part(userinfo)}{at}{host}{behind}"


def _goes_on(authority: str, behind: str) -> bool:
    """Whether an authority may end in the midst of a password with a `/` or the like."""
    return "@" in behind and ":" in _BRACKETS.sub("", authority)


def _mask_value(found: re.Match[str]) -> str:
    return f"{found[1]}={_mask_part(found[2])}"


def _mask_telling(found: re.Match[str]) -> str:
    return _mask_value(found) if TELLING.search(found[1]) else found[0]
