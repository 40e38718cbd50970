"""Hiding what is secret in URLs: user name and password, parameters, and paths of some."""

import re

from vconflow.config.expansion import REFERENCE

__all__ = ["MASK", "is_reference", "mask_credentials", "mask_secret_url"]

MASK = "***"
"""Stands for what is not shown."""

TELLING = re.compile(r"key|secret|token|passw|credential|auth|sig(nature)?$", re.IGNORECASE)
"""Names that speak of a credential."""

_USERINFO = re.compile(r"([A-Za-z][\w+.-]{0,30}://)([^/?#\s]*)@")
_PARAMETER = re.compile(r"(?<=[?&])([^=&?#\s]*)=([^&#\s]*)")
_URL = re.compile(
    r"(?P<site>(?:[A-Za-z][\w+.-]*://)?[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)


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
    return _PARAMETER.sub(_mask_telling, _USERINFO.sub(_mask_userinfo, text))


def mask_secret_url(text: str) -> str:
    """Mask all of one URL that may be a secret: everything but scheme, host and port."""
    if is_reference(text):
        return text
    found = _URL.fullmatch(text)
    assert found is not None
    site = found["site"]
    scheme, mark, rest = site.rpartition("://")
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
    return f"{found[1]}{_mask_part(found[2])}@"


def _mask_value(found: re.Match[str]) -> str:
    return f"{found[1]}={_mask_part(found[2])}"


def _mask_telling(found: re.Match[str]) -> str:
    return _mask_value(found) if TELLING.search(found[1]) else found[0]
