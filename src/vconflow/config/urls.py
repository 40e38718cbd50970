"""Hiding what is secret in URLs: user name and password, parameters, and paths of some."""

import re

from vconflow.config.expansion import REFERENCE
from vconflow.ports.component import TELLING

__all__ = ["MASK", "has_wrong_port", "is_reference", "mask_credentials", "mask_secret_url"]

MASK = "***"
"""Stands for what is not shown."""

_WORD = re.compile(r"\S+")
_AUTHORITY = re.compile(r"[^/?#]*")
_HTTP_PORT = re.compile(
    r"https?://(?:[^/?#\s]*@)?(?:\[[^]/?#\s]*\]|[^][@:/?#\s]*):([^${@/?#\s][^@/?#\s]*)(?=[/?#\s]|\Z)"
)
_PORT = re.compile(r"[0-9]{1,5}")
_PARAMETER = re.compile(r"(?<=[?&])([^=&?#\s]*)=([^&#\s]*)")
_URL = re.compile(
    r"(?P<site>(?:[A-Za-z][\w+.-]*://)?[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)


def has_wrong_port(text: str) -> bool:
    """Whether a text is a URL of HTTP whose port is none.

    Often what stands there is part of a password with a `/` or the like in it, which whoever opens
    the URL would quote.
    """
    found = _HTTP_PORT.match(text)
    return found is not None and not (_PORT.fullmatch(found[1]) and int(found[1]) <= 65535)


def is_reference(text: str) -> bool:
    """Whether a text is nothing but `${NAME}`, which names a credential without being it."""
    found = REFERENCE.fullmatch(text)
    return found is not None and not found["escaped"] and found["default"] is None


def mask_credentials(text: str) -> str:
    """Mask user names, passwords, and parameters whose name speaks of a credential, in every URL
    of a text.
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(_mask_telling, _WORD.sub(_mask_userinfo, text))


def mask_secret_url(text: str) -> str:
    """Mask all of one URL that may be a secret: everything but scheme, host and port."""
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
    scheme, mark, rest = found[0].partition("://")
    authority = _AUTHORITY.match(rest)
    assert authority is not None  # it may be empty
    place = authority[0]
    end = len(rest) if _goes_on(place, rest[len(place) :]) else len(place)
    userinfo, at, host = rest[:end].rpartition("@")
    return f"{scheme}{mark}{_mask_part(userinfo)}{at}{host}{rest[end:]}"


def _goes_on(authority: str, behind: str) -> bool:
    """Whether what looks like a host may be the begin of a password with a `/` or the like."""
    return "@" in behind and ":" in authority.rpartition("@")[2]


def _mask_value(found: re.Match[str]) -> str:
    return f"{found[1]}={_mask_part(found[2])}"


def _mask_telling(found: re.Match[str]) -> str:
    return _mask_value(found) if TELLING.search(found[1]) else found[0]
